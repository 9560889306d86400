"""What a refusal tells of what was written."""
