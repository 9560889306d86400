"""Copies that were augmented before the upload: what they are called, and that none is judged."""
