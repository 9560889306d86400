"""The pretrained networks: their weights, and one vector of all levels per image."""
