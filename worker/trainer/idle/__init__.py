"""What the trainer does while nobody waits."""
