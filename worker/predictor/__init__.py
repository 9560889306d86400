"""The server process: holds backbones and heads, and answers the app's calls."""
