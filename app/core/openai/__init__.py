"""OpenAI's shapes around a classifier: what a request asks for, and what it is answered. Pure."""
