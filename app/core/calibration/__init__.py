"""Thresholds set anew by unlabelled inputs."""
