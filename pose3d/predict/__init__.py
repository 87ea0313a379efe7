"""From pictures or keypoints to motion."""
