"""What few examples buy: `python -m benchmarks.quality` of images, `….quality.text` of texts."""
