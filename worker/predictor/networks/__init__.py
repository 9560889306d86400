"""Which networks are in memory, and within which bytes."""
