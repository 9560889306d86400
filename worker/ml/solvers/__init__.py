"""Closed forms and optimisers: rows and labels in, weights out."""
