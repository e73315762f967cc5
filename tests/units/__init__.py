"""The systemd units, under a real systemd: that of a Debian which systemd-nspawn boots."""
