"""Quicker ways to the same results, put into plain networks from outside."""
