"""What an upload must at least hold, and what its labels may not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, Problem
from app.core.modalities import MODALITIES
from app.core.review import MISSING
from app.uploads.intake import layout
from app.uploads.intake.labels import intervals as cuts
from app.uploads.intake.labels.rules import LabelRules, bracketed, joined
from app.uploads.intake.layout import LabelledFile
from app.uploads.intake.limits import IntakeOptions, Limits
from app.uploads.intake.names import folded, shown
from app.uploads.intake.pack import Draft
from app.uploads.intake.refusals import Refusals
from app.uploads.intake.rows import too_long

CONFLICT = "label_conflict"


def labels(items: list[LabelledFile], limits: Limits, refusals: Refusals) -> None:
    """What folders' names may not be, before a byte is unpacked for them."""
    named = {item.label: item.path for item in reversed(items) if item.labels is None}
    for label, path in named.items():
        if len(label) > limits.label_characters:
            why = too_long(label, limits)
            refusals.add(HeadstartError("label_too_long", why, param=shown(path)))
        if not label.strip():
            why = f"the folder of {shown(path)} has no name to be a label"
            refusals.add(HeadstartError("invalid_value", why, param=shown(path)))
    refusals.check()


def classes(usable: list[Example], minimum: int, problems: Sequence[Problem] = ()) -> None:
    if not usable:
        why = "no example is left: each has a contradicting copy"
        first = next((one.message for one in problems if one.code == CONFLICT), None)
        raise HeadstartError("empty_dataset", f"{why}; {first}" if first else why)
    trained = manifest.told_apart([one for one in usable if one.split == "train"])
    mode = manifest.mode_of(usable)
    least = manifest.least_classes(mode, minimum)
    if minimum > 1 and len(trained) < least:
        found = ", ".join(shown(label, 40) for label in sorted(trained)) or "none"
        held = Counter(example.split for example in usable if example.split != "train")
        beside = "".join(f"; {count} example(s) are in {name}" for name, count in held.items())
        wanted = f"at least {least} classes need an example to train on"
        if mode == "multi_label":
            wanted = "a label must be on some examples to train on and missing on others"
        raise HeadstartError("insufficient_classes", f"{wanted}; found: {found}{beside}")


def nothing(problems: list[Problem], *, labelled: bool) -> HeadstartError:
    """There is no example; a table that has none says so itself."""
    empty = next((one for one in problems if one.code == "empty_dataset"), None)
    if empty is not None:
        left_out = (one.message for one in problems if one.code == "unlabelled")
        why = "; ".join([empty.message, *left_out][:3])
        return HeadstartError(empty.code, why, param=empty.path)
    if any(one.code == "unlabelled" for one in problems):
        why = "no row has a label: give each row the label that is to be learned from it"
        return HeadstartError("empty_dataset", why)
    conflict = next((one for one in problems if one.excluded and one.code == CONFLICT), None)
    if conflict is not None:
        why = "no example is left, as those who have labelled them disagree about all: "
        return HeadstartError("empty_dataset", why + conflict.message, param=conflict.path)
    return layout.nothing(labelled=labelled)


def joined_labels(names: Iterable[str], rules: LabelRules) -> list[Problem]:
    """A warning of labels that seem to be several in one text."""
    labels = set(names)
    if lists := bracketed(labels):
        return [_lists(lists)]
    told = joined(labels, besides=rules.separator)
    if told is None:
        return []
    separator, found = told
    some = ", ".join(repr(shown(label, 40)) for label in found[:3])
    what = "a blank" if separator == " " else f"`{separator}`"
    message = f"{len(found)} label(s) seem to be several with {what} between them, such as {some}"
    if rules.separator is not None:
        message += f", beside those that `{rules.separator}` parts: put one of them between all; "
    else:
        message += f": if they are, send {what} as label_separator; "
    message += "read as they are, each is a class of its own"
    return [Problem(code="labels_joined", message=message)]


def separator(examples: Sequence[Example], rules: LabelRules) -> None:
    """Raise invalid_value where the separator that was said parts no label, and another would."""
    if rules.separator is None or any(len(one.names) > 1 for one in examples):
        return
    told = joined({name for one in examples for name in one.names}, besides=rules.separator)
    if told is not None and told[0] != " ":
        some = ", ".join(repr(shown(label, 40)) for label in told[1][:3])
        why = f"label_separator is `{rules.separator}`, which no label has in it, and "
        why += f"{len(told[1])} seem to be several with `{told[0]}` between them, such as {some}: "
        why += f"send label_separator={told[0]} with this file"
        raise HeadstartError("invalid_value", why, param="label_separator")


def like_the_negative(names: Iterable[str], rules: LabelRules) -> list[Problem]:
    """A warning of labels that are what says that there is none, but for their case or accents."""
    negative = rules.negative
    alike = sorted({one for one in names if negative and folded(one) == folded(negative)})
    if not alike:
        return []
    some = " and ".join(repr(shown(one, 40)) for one in alike[:3])
    message = f"{some} is a class, and {shown(str(negative), 40)!r}, which is spelled otherwise, "
    message += "says that there is none: spell it in one way if it says so, too"
    return [Problem(code="column_assumed", message=message)]


def intervals(listed: Sequence[Draft], options: IntakeOptions) -> list[Problem]:
    """What is told of labels that may be intervals or lists. Raises several_labels for lists."""
    if options.rules.several:
        return []
    said = {one.label: one.path for one in reversed(listed) if one.label not in one.path.split("/")}
    labels = sorted({one.label for one in listed})
    return cuts.settle(said, labels, least=min(2, options.minimum_classes))


def nameless_groups(examples: Iterable[Example]) -> list[Problem]:
    """A warning of groups that are called as what has no value."""
    counts = Counter(one.group for one in examples if (one.group or "x").casefold() in MISSING)
    several = [shown(str(group), 40) for group, count in counts.items() if count > 1]
    if not several:
        return []
    message = (
        f"{sum(counts.values())} examples have the group {', '.join(map(repr, several[:5]))}, as "
        "tables write that a value is missing, and are judged together: leave cells empty where "
        "an example belongs to none"
    )
    return [Problem(code="column_assumed", message=message)]


def _lists(found: list[str]) -> Problem:
    """A warning of labels that seem to be lists."""
    some = ", ".join(repr(shown(label, 40)) for label in found[:3])
    message = (
        f"{len(found)} label(s) look like lists, such as {some}: if they are, write them as JSON "
        'does, ["a", "b"], or with a label_separator and no brackets; read as they are, each is a '
        "class of its own"
    )
    return Problem(code="labels_joined", message=message)


def asked(modality: str | None) -> Modality | None:
    """The modality that an upload is said to be of. Raises invalid_value."""
    if modality is None:
        return None
    if modality not in MODALITIES:
        raise HeadstartError("invalid_value", "modality is image or text", param="modality")
    return MODALITIES[modality].name
