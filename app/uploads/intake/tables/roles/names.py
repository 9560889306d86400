"""What people and their tools call the columns that have a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.texts import composed
from app.uploads.intake.rows import PATHS

USUAL: Mapping[str, tuple[str, ...]] = {
    "text": (
        *("text", "sentence", "content", "review", "utterance", "message", "body", "document"),
        *("query", "question", "comment", "tweet", "post", "headline", "review_text", "input_text"),
    ),
    "label": (
        *("label", "labels", "class", "category", "target", "intent", "sentiment", "y", "tag"),
        *("label_text", "label_name", "class_name", "class_label", "tags", "choice"),
    ),
    "group": ("group",),
    "split": ("split",),
    "path": (*PATHS, "filename", "file", "image", "image_path", "file_path", "filepath"),
}
"""What people and their tools call the columns; the first name of each is our own."""
_TEXTS = (
    "comment_text comments tweet_text tweet_content full_text text_content content_text body_text "
    "review_body review_content reviews clean_text cleaned_text text_clean message_text post_text "
    "question_text sentence_text sentence1 sms statement statements transcript "
    "transcription article abstract narrative consumer_complaint_narrative news headlines title "
    "description input inputs data paragraph passage verse lyrics resume_str complaint note notes"
)
_LABELS = (
    "emotion emotions topic topics genre species breed diagnosis diagnoses disease condition dx "
    "rating ratings stars polarity annotation gold gold_label majority_label ground_truth truth "
    "sentiment_label airline_sentiment emotion_label label_id class_id class_index class_idx "
    "category_name category_id cell_type defect defect_type output verdict language_label "
    "classid classname labelid categoryid finding findings finding_label finding_labels "
    "image_label image_labels diagnostic pathology disease_name disease_label lesion_type"
)
FURTHER: Mapping[str, tuple[str, ...]] = {
    "text": tuple(_TEXTS.split()),
    "label": tuple(_LABELS.split()),
}
"""What they are called as well, where no column has a usual name."""
OWN = {
    "label": {"label", "labels"},
    "group": {"group"},
    "split": {"split"},
    "path": set(PATHS),
}
READ_ANYWAY = ("messages", "prompt", "completion")
"""OpenAI's forms, in which text and label have other places."""


def folded(name: str) -> str:
    """A column's name without case, blanks and marks around it, and one kind of joint for all."""
    plain = composed(name).strip("\ufeff\u200b")
    return "_".join(plain.casefold().replace("-", " ").replace("_", " ").split())


def matching(names: Sequence[str], told: str) -> list[str]:
    """The columns that the caller means by `told`: of this name, or else but for its case."""
    exact = [name for name in names if name == told]
    return exact or [name for name in names if folded(name) == folded(told)]
