"""The child process: embeds, fits, predicts and exports, without a database."""
