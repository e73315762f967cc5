"""Layer 2: frames of ARP and neighbor discovery, the sockets and interfaces they pass through."""
