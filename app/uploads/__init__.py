"""From a request's bytes to examples in storage."""
