"""Motion as data: sequences, cameras, protocols, packing, windows and splits."""
