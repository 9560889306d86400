"""What a process tells of itself: its log lines, and whose doing each of them is."""
