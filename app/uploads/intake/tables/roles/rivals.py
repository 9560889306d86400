"""Columns of a few words that may be the label as well as columns of 0 and 1 beside them, which may
be what is known of each example: whether a patient smokes, and the diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import consensus
from app.uploads.intake.tables.roles import marks, split_guess
from app.uploads.intake.tables.roles.beside_labels import STATES
from app.uploads.intake.tables.roles.grouping import USUAL as GROUPS
from app.uploads.intake.tables.roles.held_out import NO, YES

_FACTS = (
    "sex gender age age_group age_range age_category race ethnicity ethnic_group nationality "
    "country country_code region state province county city town area zone continent origin "
    "location localization localisation site anatom_site anatom_site_general "
    "anatom_site_general_challenge body_part bodypart body_site position side eye laterality hand "
    "view view_position viewposition frontal/lateral ap/pa projection orientation pose direction "
    "modality manufacturer scanner device device_type camera model lens sensor instrument stain "
    "magnification resolution format file_type filetype extension mime mimetype color colour "
    "language lang locale platform channel browser os app version source sources dataset origin "
    "publisher media subreddit forum author_type user_type department division team unit shift "
    "day weekday month season year quarter date time hour occupation job profession education "
    "religion marital_status marital income skin_type skin_tone fitzpatrick fitzpatrick_skin_type "
    "blood_type blood_group background_father background_mother hospital clinic center centre "
    "institution weather lighting light scene_type quality license licence currency dx_type "
    "diagnosis_confirm_type method type_of_device annotator_group created_by"
)
FACTS = frozenset(_FACTS.split())
"""What columns are called that say something else of an example than what is to be learned."""
MOST = 50
LONGEST = 60
"""Different values of a label's column, and the characters of one."""


def check(
    header: Row,
    sample: Sequence[Mapping[str, Any]],
    marked: Sequence[str],
    free: Mapping[str, str],
    label: str | None,
) -> None:
    """Raise schema_mismatch where the columns of 0 and 1 are `marked` and another may be the label:
    one of the `free` ones (as they are called folded), or the `label` by its name. Where each row
    has one 1, they are it."""
    if all(_count(row, marked) == 1 for row in sample):
        return
    found = [name for name in free if _may_be_label(sample, name, free[name])]
    if label is not None and _comes_again(sample, label):
        found.insert(0, label)
    if found:
        some = ", ".join(f"`{shown(name, 40)}`" for name in found[:5])
        flags = ", ".join(f"`{shown(name, 40)}`" for name in marked[:10])
        why = f"either {some} or the columns of 0 and 1 ({flags}) may be the labels: say "
        raise header.error("schema_mismatch", f"{why}label_column or label_columns")


def _count(row: Mapping[str, Any], names: Sequence[str]) -> int:
    return sum(marks.is_one(row.get(name)) for name in names)


def _may_be_label(sample: Sequence[Mapping[str, Any]], name: str, plain: str) -> bool:
    known = plain in FACTS or plain in STATES or split_guess.is_no_class(plain)
    if known or GROUPS.fullmatch(name) or consensus.says(plain) or marks.is_id(name):
        return False
    said = {_word(row.get(name)) for row in sample} - {""}
    words = all(not _is_plain(one) for one in said) and not said & {*YES, *NO}
    return words and not said & {*marks.MARKS} and _comes_again(sample, name)


def _comes_again(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column has a few values, short ones, each of several rows in the mean."""
    said = [word for row in sample if (word := _word(row.get(name)))]
    few = 1 < len(set(said)) <= MOST and 2 * len(set(said)) <= len(said)
    return few and all(len(one) <= LONGEST for one in said)


def _is_plain(word: str) -> bool:
    """Whether a cell is a number, a date or a time: it has no letter."""
    return not any(map(str.isalpha, word))


def _word(value: Any) -> str:
    return "" if value is None or isinstance(value, list | dict) else str(value).strip().casefold()
