"""Several labels an example, or none: one head a class against the rest, all fitted at once."""
