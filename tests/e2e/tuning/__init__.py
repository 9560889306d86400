"""Models whose network was tuned."""
