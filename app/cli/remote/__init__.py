"""What `headstart` asks of a running service, over the public HTTP API alone."""
