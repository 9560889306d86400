"""Prototypical networks' classifier (Snell et al. 2017): the nearest class mean.

logits = -‖x - cₖ‖² up to what all classes share, with cₖ the mean of the class's rows.
"""

from __future__ import annotations

from worker.ml.solvers.problem import Affine, SolverProblem


def fit(problem: SolverProblem) -> Affine:
    """All S by P fits: W = 2c, b = -‖c‖²."""
    w = problem.weights.to(problem.x.dtype)[None, :, :, None]
    mass = problem.targets * w
    means = mass.transpose(2, 3) @ problem.x[:, None]
    means = means / mass.sum(2).clamp(min=1e-12)[..., None]
    return Affine(2 * means.transpose(2, 3), -means.square().sum(-1))
