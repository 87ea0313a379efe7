"""Image in, keypoints out."""
