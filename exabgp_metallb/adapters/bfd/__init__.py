"""FRR's bfdd: what it is told over its vty socket, and what it tells over its control socket."""
