"""`/v1/batches`: OpenAI's batches, a file of requests that becomes a file of answers."""
