"""What 2D and 3D share and neither owns: words, the engine, formats, kernels, drawing, export."""
