"""What can be asked of each way to fit a head."""
