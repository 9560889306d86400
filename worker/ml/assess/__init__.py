"""What is said of a head: figures with intervals, calibration, novelty, advice."""
