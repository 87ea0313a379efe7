"""Words that 2D and 3D share: skeletons, cameras, metrics. Pure functions and frozen records."""
