"""From feature rows to the JSON that a caller reads; child and predictor share it."""
