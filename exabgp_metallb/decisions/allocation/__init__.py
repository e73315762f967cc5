"""Which Service holds which addresses: `allocate` decides, the other modules are its parts."""
