"""Everything with tensors: one house for each of three processes, and what they share."""
