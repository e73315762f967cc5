"""Floor 4: the edges, grouped by what they touch: pure codecs and the few lines that block."""
