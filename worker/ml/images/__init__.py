"""From a picture's bytes to the pixels of its views."""
