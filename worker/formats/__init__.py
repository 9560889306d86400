"""What the processes hand each other: messages, embeddings, stored models."""
