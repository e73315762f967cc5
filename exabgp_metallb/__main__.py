"""`python -m exabgp_metallb`, which is how ExaBGP starts the speaker."""

from exabgp_metallb.cli import main

if __name__ == "__main__":
    main()
