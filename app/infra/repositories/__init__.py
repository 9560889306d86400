"""Queries, one module a subject; each takes the caller's session and never commits."""
