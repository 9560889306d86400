"""Rows that only other services' shapes have."""
