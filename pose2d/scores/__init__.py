"""How good keypoints are: AP, OKS, PCKh."""
