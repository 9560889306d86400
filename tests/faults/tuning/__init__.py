"""Tunings of a real trainer, killed."""
