"""What a 3D run shows."""
