"""What folders and columns are called that hold what nobody has labelled, or has sorted yet."""

from __future__ import annotations

import re
from collections.abc import Collection, Set

_UNLABELLED = (
    "unlabeled,unlabelled,not labeled,not labelled,unannotated,not annotated,unlabeled data,"
    "unlabelled data,unlabeled images,unlabelled images,no label,no labels,without label,"
    "not yet labeled,not yet labelled"
)
UNLABELLED = frozenset(_UNLABELLED.split(","))
"""What says itself that there is no label."""
_UNSORTED = (
    "unsorted,not sorted,to sort,unsup,unsupervised,uncategorized,uncategorised,unclassified,"
    "unassigned,unreviewed,not reviewed,to label,to be labeled,to be labelled,to annotate,"
    "to review,todo,to do,inbox,unknown,skip,skipped,ignore,ignored,discard,discarded,exclude,"
    "excluded,trash,to delete"
)
_UNSURE = UNLABELLED | frozenset(_UNSORTED.split(","))
"""What may say so as well, or be a class, of what people could not tell, for one."""
_NEW_FOLDER = re.compile(
    r"(new folder|untitled folder|untitled|neuer ordner|nouveau dossier|dossier sans titre|"
    r"nueva carpeta|carpeta sin título|nuova cartella|cartella senza titolo|nova pasta|"
    r"nieuwe map|ny mapp|ny mappe|nowy folder|новая папка|新しいフォルダー|新建文件夹|新增資料夾|"
    r"새 폴더)( ?\(?\d+\)?)?"
)
"""What systems call a folder that nobody has named."""


def unlabelled(labels: Collection[str]) -> Set[str]:
    """Those of the labels that say that nobody has labelled an example, where several others are
    classes: beside one other they may be what it is told from."""
    found = {label for label in labels if _plain(label) in UNLABELLED}
    return found if len(set(labels) - found) > 1 else set()


def may_be_none(label: str) -> bool:
    """Whether a label may be what nobody has labelled, by what it is called."""
    plain = _plain(label)
    return plain in _UNSURE or _NEW_FOLDER.fullmatch(plain) is not None


def _plain(label: str) -> str:
    """The label in one case, with blanks for all joints and nothing around it."""
    return " ".join(re.split(r"[\s_.\-]+", label.casefold())).strip(" ()[]<>{}")
