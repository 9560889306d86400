"""Examples erased from every version of a dataset, and from what was made of them."""
