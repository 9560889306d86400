"""The `headstart` command, the supervisor of its processes, and the demo."""
