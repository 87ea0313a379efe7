"""Invented motion: bodies, kinematics, actions, rendered people."""
