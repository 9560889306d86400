"""What columns beside the label are called that may contradict it, and what they say then."""

from __future__ import annotations

_LABELS = (
    "label labels labeled labelled class category target annotation gold truth final corrected "
    "adjudicated majority consensus relabeled revised sentiment intent"
)
LABEL_WORDS = frozenset(_LABELS.split())
"""Words in the names of columns whose numbers may be those of classes."""
_NO_LABELS = (
    "is has num n id ids idx index count counts confidence score time by at agreement votes"
)
NO_LABEL_WORDS = frozenset(_NO_LABELS.split())
"""Words in the names of columns that say something else of the label."""
_LEFT_OUT = (
    "deleted is_deleted removed is_removed exclude excluded is_excluded skip skipped is_skipped "
    "ignore ignored is_ignored discard discarded is_discarded rejected is_rejected invalid "
    "is_invalid cancelled canceled was_cancelled to_delete to_remove do_not_use dont_use"
)
LEFT_OUT = frozenset(_LEFT_OUT.split())
"""What columns are called whose yes says that a row is not to count."""
_AMBIGUOUS = "invalid removed rejected ignored ignore cancelled canceled"
NO_CLASS = LEFT_OUT - frozenset(_AMBIGUOUS.split())
"""Those that are no class in a table of columns of 0 and 1."""
_WEIGHTS = "weight weights sample_weight sample_weights instance_weight example_weight loss_weight"
WEIGHTS = frozenset(_WEIGHTS.split())
"""What columns are called whose 0 says that nothing is to be learned from a row."""
_STATES = (
    "status state review_status annotation_status label_status qa_status record_status "
    "labeling_status labelling_status assignmentstatus assignment_status review decision "
    "review_decision moderation_status"
)
STATES = frozenset(_STATES.split())
"""What columns are called that may say in a word that a row is not to count."""
_OPEN = (
    "rejected,reject,declined,denied,discarded,discard,deleted,removed,excluded,skipped,skip,"
    "ignored,ignore,cancelled,canceled,invalid,draft,pending,open,todo,unlabeled,unlabelled,"
    "unreviewed,unverified,disputed,failed,expired,to do,in progress,not started,needs review,"
    "in review,not reviewed"
)
OPEN = frozenset(_OPEN.split(","))
"""The words for it."""
_OTHERS = (
    "final_label corrected_label correct_label new_label old_label original_label true_label "
    "fixed_label revised_label reviewed_label expert_label human_label model_label second_label "
    "label_1 label_2 label1 label2 annotator_1 annotator_2 annotator1 annotator2 gold_label "
    "adjudicated_label consensus_label majority_label predicted_label prediction"
)
OTHERS = frozenset(_OTHERS.split())
"""What other answers are called, as far as a file has to be asked for them by name."""
NAMED = OTHERS | LEFT_OUT | WEIGHTS | STATES | {"answer"}
