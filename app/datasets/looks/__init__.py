"""A dataset that one can look at: small pictures, what a version is like, what changed."""
