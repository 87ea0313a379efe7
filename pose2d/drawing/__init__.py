"""What a 2D run shows."""
