"""Floor 1: frozen values over the standard library. A value is valid once it is built."""
