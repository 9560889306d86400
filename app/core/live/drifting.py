"""What a test for drift promises: said by the app, kept by the trainer."""

from __future__ import annotations

ALPHA = 0.002
"""A window's false alarms: of 500 windows in which nothing has changed, one is expected to be told
at most, whatever the distribution is."""
LEAST_EFFECT = 0.001
"""Coefficient from which on a difference is told; of more inputs ever smaller ones are evident."""
METHOD = (
    "windows that do not overlap, each tested once against the first inputs that the model was "
    "asked about: energy distance on embeddings and on the model's probabilities, and the "
    "difference of their means (on embeddings a regularised Hotelling's T², on probabilities the "
    "largest of a class); p by permuting both samples together, all four tests within one level "
    f"of {ALPHA:g} (Bonferroni), and an effect of at least {LEAST_EFFECT:g}"
)
FALSE_ALARMS = (
    f"where nothing changes, at most one window in {round(1 / ALPHA)} is expected to be told; this "
    "holds for inputs that come independently: a burst of pictures of one thing is a change"
)
