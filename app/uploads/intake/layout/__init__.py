"""What the places and names of an archive's members say: which are examples, of what label.

`roles` tells examples from what lies beside them, `wrappers` looks through folders around
everything, `folders` reads labels and splits from folders, `depths` asks whether they lie deeper,
`drawn` tells masks from what they were drawn on,
`listed` reads them from metadata files, `split_folders` has the splits that those leave to folders,
`beside` asks which tables beside pictures name them (as `named` finds them, and `naming` has
them), `facts` has what those
say that folders do not, `cross_validation` has tables that are folds, `asked` refuses what the
caller says and nothing reads, `doubts` says what is not clear, and `leftovers` names what is
none of it.
Pure, but for the rows of tables: paths only.
"""

from app.uploads.intake.layout.across import across
from app.uploads.intake.layout.asked import check_files, check_tables
from app.uploads.intake.layout.beside import candidates, decide
from app.uploads.intake.layout.cross_validation import folds_told
from app.uploads.intake.layout.drawn import Drawn
from app.uploads.intake.layout.facts import Facts
from app.uploads.intake.layout.folders import Placed, by_folder, tables
from app.uploads.intake.layout.labelled_texts import DOCUMENTS
from app.uploads.intake.layout.leftovers import empty_classes, ignored, nothing
from app.uploads.intake.layout.listed import OF_ROW, Places, by_rows, metadata, unlisted
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.layout.naming import NamingTable
from app.uploads.intake.layout.roles import (
    TABLES,
    FileInTree,
    LabelledFile,
    Peek,
    Role,
    anywhere,
    is_metadata,
    is_table,
    members,
    mismatch,
    modality,
)
from app.uploads.intake.layout.split_folders import given as in_split_folders
from app.uploads.intake.layout.versions import together
from app.uploads.intake.layout.wrappers import unwrapped

__all__ = [
    "DOCUMENTS",
    "OF_ROW",
    "TABLES",
    "Drawn",
    "Facts",
    "FileInTree",
    "LabelledFile",
    "NamingTable",
    "Nearby",
    "Peek",
    "Placed",
    "Places",
    "Role",
    "across",
    "anywhere",
    "by_folder",
    "by_rows",
    "candidates",
    "check_files",
    "check_tables",
    "decide",
    "empty_classes",
    "folds_told",
    "ignored",
    "in_split_folders",
    "is_metadata",
    "is_table",
    "members",
    "metadata",
    "mismatch",
    "modality",
    "nothing",
    "tables",
    "together",
    "unlisted",
    "unwrapped",
]
