"""The predictor's parts: a lean HTTP server, a fair queue, decode and engine threads, heads."""
