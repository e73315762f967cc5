"""ExaBGP: its API lines, its configuration, its pipe."""
