"""A window of live inputs beside a model's first ones: what differs, and whether that is the inputs
themselves or how often each class of them comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.core.live.drifting import EVIDENT, LEAST_LABELLED, LONGER
from worker.trainer import two_samples
from worker.trainer.two_samples import Matrix, Pause, TwoSampleTest, no_pause

STRANGEST = 5


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs: their embeddings, what was answered, and the classes that audited feedback names."""

    embeddings: Matrix
    answers: Sequence[Mapping[str, Any]]
    labels: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.answers)


def window_result(
    reference: Sample,
    window: Sample,
    number: int,
    before: Sequence[Sequence[Mapping[str, Any]]] = (),
    *,
    pause: Pause = no_pause,
) -> dict[str, Any]:
    """What is different in a window: of the inputs, of the answers, and within classes.

    `number` seeds the permutations, so that who tests it again finds the same. Of the windows
    `before` it only the answers count, with those of every `LONGER`th window.
    """
    apart = two_samples.distances(np.vstack([reference.embeddings, window.embeddings]))
    tests = _tests(reference, window, apart, number, pause)
    longer = _longer(reference, window, number, before, pause)
    p, drifted = two_samples.judged(list(tests.values()), longer)
    far = two_samples.strangeness(apart, len(reference))
    order = np.argsort(-far)[:STRANGEST]
    return {
        "drifted": drifted,
        "p": p,
        **{name: test.told() for name, test in tests.items()},
        "outputs_mean_of_four": longer.told() if longer is not None else None,
        **told_apart(reference, window, number, drifted=drifted, pause=pause),
        "class_mix": _class_mix(reference, window),
        "strangest": [(int(place), float(far[place])) for place in order],
    }


def _tests(
    reference: Sample, window: Sample, apart: Matrix, number: int, pause: Pause
) -> dict[str, TwoSampleTest]:
    """What a window is told by: of inputs and answers the distributions and the means."""
    sizes = (len(reference), len(window))
    rows = np.vstack([reference.embeddings, window.embeddings])
    scores = _scores([*reference.answers, *window.answers])
    return {
        "inputs": two_samples.compare(apart, sizes, number, pause=pause),
        "outputs": two_samples.compare(two_samples.distances(scores), sizes, number, pause=pause),
        "inputs_mean": two_samples.compare(two_samples.whitened(rows), sizes, number, pause=pause),
        "outputs_mean": two_samples.compare_means(scores, sizes, number, pause=pause),
    }


def _longer(
    reference: Sample,
    window: Sample,
    number: int,
    before: Sequence[Sequence[Mapping[str, Any]]],
    pause: Pause,
) -> TwoSampleTest | None:
    """The answers of several windows together; None but of every so many, where all are there."""
    if number % LONGER or len(before) < LONGER - 1:
        return None
    answers = [one for former in before for one in former] + [*window.answers]
    sizes = (len(reference), len(answers))
    columns = _scores([*reference.answers, *answers])
    return two_samples.compare_means(columns, sizes, number, pause=pause)


def _scores(answers: Sequence[Mapping[str, Any]]) -> Matrix:
    """Every answer's probabilities, a column a class."""
    classes = sorted({name for answer in answers for name in answer["scores"]})
    return np.array(
        [[float(answer["scores"].get(name, 0.0)) for name in classes] for answer in answers]
    )


def labelled_sizes(reference: Sequence[str | None], window: Sequence[str | None]) -> list[int]:
    """How many inputs of each are of a class that audited feedback has named in both."""
    shared = (set(reference) & set(window)) - {None}
    return [sum(label in shared for label in labels) for labels in (reference, window)]


def told_apart(
    reference: Sample, window: Sample, number: int, *, drifted: bool, pause: Pause = no_pause
) -> dict[str, Any]:
    """Whether inputs of the same class differ, whether classes come as often, and so what a drift
    is; None where audited feedback knows the class of too few.
    """
    within = _given_class(reference, window, number, pause)
    mix = _labelled_mix(reference, window, number, pause)
    found = None
    if drifted and within is not None and mix is not None:
        found = _change(within["p"] <= EVIDENT, mix["p"] <= EVIDENT)
    return {"given_class": within, "labelled_mix": mix, "change": found}


def _change(inputs: bool, mix: bool) -> str:
    if inputs:
        return "both" if mix else "inputs"
    return "class_mix" if mix else "undecided"


def _given_class(
    reference: Sample, window: Sample, number: int, pause: Pause
) -> dict[str, Any] | None:
    """Whether inputs of the same class differ, permuted within classes: by energy distance, and by
    the whitened mean of what is left of each input without its class's mean. That is taken over
    both samples, and so the same however they are permuted.
    """
    labels = [*reference.labels, *window.labels]
    shared = (set(reference.labels) & set(window.labels)) - {None}
    places = np.array([at for at, label in enumerate(labels) if label in shared], int)
    first, second = labelled_sizes(reference.labels, window.labels)
    if min(first, second) < LEAST_LABELLED:
        return None
    strata = [labels[at] for at in places]
    rows = np.vstack([reference.embeddings, window.embeddings])[places]
    sizes = (first, second)
    tests = [
        two_samples.compare(apart, sizes, number, strata, pause=pause)
        for apart in (two_samples.distances(rows), two_samples.whitened(_left(rows, strata)))
    ]
    clearest = min(tests, key=lambda one: one.p)
    p = min(1.0, len(tests) * clearest.p)
    return {**clearest.told(), "p": p, "labelled": [first, second]}


def _left(rows: Matrix, strata: Sequence[str | None]) -> Matrix:
    """The rows less their stratum's mean."""
    kinds = np.unique([str(one) for one in strata], return_inverse=True)[1]
    sums = np.zeros((int(kinds.max()) + 1, rows.shape[1]))
    np.add.at(sums, kinds, rows)
    left: Matrix = rows - (sums / np.bincount(kinds)[:, None])[kinds]
    return left


def _labelled_mix(
    reference: Sample, window: Sample, number: int, pause: Pause
) -> dict[str, Any] | None:
    """Whether classes come as often as they did, by what audited feedback calls the inputs."""
    named = [[one for one in part.labels if one is not None] for part in (reference, window)]
    sizes = (len(named[0]), len(named[1]))
    if min(sizes) < LEAST_LABELLED:
        return None
    classes = sorted({*named[0], *named[1]})
    columns = _indicators([*named[0], *named[1]], classes)
    found = two_samples.compare_means(columns, sizes, number, pause=pause)
    return {**found.told(), "labelled": list(sizes)}


def _indicators(labels: Sequence[str], classes: Sequence[str]) -> Matrix:
    """A column a class: 1 where the label is it."""
    found: Matrix = (np.array(labels)[:, None] == np.array(classes)).astype(np.float64)
    return found


def _class_mix(reference: Sample, window: Sample) -> list[dict[str, Any]]:
    """What part of the answers each label was."""
    shares = [
        Counter(answer["label"] for answer in sample.answers) for sample in (reference, window)
    ]
    return [
        {
            "label": label,
            "reference": shares[0][label] / len(reference),
            "window": shares[1][label] / len(window),
        }
        for label in sorted(shares[0] | shares[1])
    ]
