"""Whether all of this works on a GPU, and how fast: one command for the day that one is at hand."""
