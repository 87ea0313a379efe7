"""One file a format, reading and writing side by side. Nothing in a foreign file runs, sizes are bounded."""
