"""What a piece of work is done on: examples, and where their embeddings lie."""
