"""What can be told of a model in use. Pure."""
