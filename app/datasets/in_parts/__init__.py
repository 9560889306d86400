"""`/v1/uploads`: a file that comes in parts, in any order, over days if need be."""
