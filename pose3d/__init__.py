"""3D out, from keypoints or from an image."""
