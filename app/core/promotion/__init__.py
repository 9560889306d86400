"""The gate of a promotion: whether a candidate may take an incumbent's place. Pure."""
