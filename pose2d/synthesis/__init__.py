"""Invented pictures of people: figures, rendering, scenery."""
