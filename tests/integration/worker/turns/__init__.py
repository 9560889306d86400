"""Whose turn it is at a trainer, and what is left of work that is passed."""
