"""Floor 5: wiring, threads and signals."""
