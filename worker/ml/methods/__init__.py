"""Ways to fit a head: `fit(setting) -> Fitted` each, and one `finish` for all."""

from collections.abc import Mapping

from app.core.manifest import Modality
from worker.ml.methods import deeper, linear, matching, one_head, reptile
from worker.ml.methods.setting import Method

_OF_ANY: Mapping[str, Method] = {
    "linear": linear.fit,
    "auto": deeper.of_any_depth,
    "logistic": one_head.logistic,
    "ridge": one_head.ridge,
    "lda": one_head.lda,
    "prototypical": one_head.prototypical,
    "matching": matching.fit,
    "reptile": reptile.fit,
    "lora": deeper.fit,
    "full": deeper.fit,
}

METHODS: Mapping[Modality, Mapping[str, Method]] = {
    "image": {"partial": deeper.fit, **_OF_ANY},
    "text": {"setfit": deeper.fit, **_OF_ANY},
}
"""Each method that `app.core.hyperparameters` declares for a modality, as it is fitted there."""
