"""Serving over HTTP: `python -m benchmarks.serving` writes benchmarks/results/serving.json."""
