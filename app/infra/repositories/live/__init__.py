"""Rows of models in use: the prediction log, feedback, drift."""
