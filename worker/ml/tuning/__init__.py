"""Tuning the part of a network behind a cut, on activations that are kept like embeddings."""
