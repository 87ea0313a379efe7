"""Trains anything; knows devices, precision and checkpoints, and nothing of poses."""
