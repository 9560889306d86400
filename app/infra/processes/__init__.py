"""What processes of ours know of each other: whose child one is, and whether one still moves."""
