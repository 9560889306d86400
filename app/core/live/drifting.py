"""What a test for drift promises: said by the app, kept by the trainer."""

from __future__ import annotations

ALPHA = 0.002
"""A window's false alarms: of 500 windows in which nothing has changed, one is expected to be told
at most, whatever the distribution is."""
LEAST_EFFECT = 0.001
"""Coefficient from which on a difference is told; of more inputs ever smaller ones are evident."""
LONGER = 4
"""Windows whose answers are also looked at together: every fourth one with the three before it."""
LEAST_LABELLED = 20
"""Inputs of each sample whose class audited feedback names, from which on it is told whether a
drift is of the inputs or of their mix."""
EVIDENT = 0.01
"""p from which on either is evident. Tested when the labels are first enough, and again each time
that they are twice as many."""
METHOD = (
    "windows that do not overlap, each tested once against the first inputs that the model was "
    "asked about: energy distance on embeddings and on the model's probabilities, and the "
    "difference of their means (on embeddings a regularised Hotelling's T², on probabilities the "
    f"largest of a class), and every {LONGER} windows that of their probabilities together; p by "
    f"permuting both samples together, all of it within one level of {ALPHA:g} a window "
    f"(Bonferroni), and an effect of at least {LEAST_EFFECT:g}. Where audited feedback names "
    f"the class of {LEAST_LABELLED} inputs of both samples, change says whether inputs of the "
    "same class differ (permuted within classes) or classes come more often"
)
FALSE_ALARMS = (
    f"where nothing changes, at most one window in {round(1 / ALPHA)} is expected to be told; this "
    "holds for inputs that come independently: a burst of pictures of one thing is a change"
)
