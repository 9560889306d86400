"""A batch of requests: its file is read, asked piece by piece, and its answers are written."""
