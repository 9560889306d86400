"""What every route shares: the gate, keys, dependencies, problems, JSON, pages, OpenAPI."""
