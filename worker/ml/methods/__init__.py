"""One module a method: what it fits, on which spaces, with which hyperparameters."""
