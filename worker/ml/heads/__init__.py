"""A fitted head at work: scores, explanations, export."""
