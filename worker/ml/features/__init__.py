"""From a backbone's vector to the spaces that heads read."""
