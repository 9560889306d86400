"""Whether what the service says of itself holds."""
