"""Programs that read what large libraries read, within limits of their own; run by path."""
