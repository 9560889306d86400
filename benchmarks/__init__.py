"""One file a figure; each writes benchmarks/results/<name>.json."""
