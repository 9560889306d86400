"""The hyperparameters of every method: their ranges, and what "auto" means of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from app.core.modalities import View

Auto = Literal["auto"]
Space = Literal["last", "late", "all"]

Positive = Annotated[float, Field(strict=True, ge=1e-6, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=1e-7, le=10, allow_inf_nan=False)]
Alarm = Annotated[float, Field(strict=True, gt=0, le=0.5, allow_inf_nan=False)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Multiplier = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=1, le=86_400, allow_inf_nan=False)]


Prompt = Annotated[
    str, Field(strict=True, min_length=2, max_length=200, pattern=r"^[^{}]*\{\}[^{}]*$")
]


class Hyperparameters(BaseModel):
    """What every method has: how sure `unknown` must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unknown_false_alarm_rate: Auto | Alarm = Field(
        "auto", description="Share of known inputs that may be called unknown (auto: 0.05)."
    )


class Frozen(Hyperparameters):
    """What every method but the textbook one has: views, and the weight of the classes."""

    views: Auto | list[View] = Field(
        "auto",
        description="Views of the support to learn from (auto: those cached, mirror images only "
        "where a mirror makes nothing else of the examples).",
    )
    prediction_views: Literal["squish", "all"] = Field(
        "squish",
        description="squish: one backbone pass a prediction; all: one for each view learned from.",
    )
    class_balance: Auto | Literal["balanced", "none"] = Field(
        "auto", description="balanced: every class has the same say (auto: balanced)."
    )


class AutoMethod(Frozen):
    """Several spaces and heads, weighed by their out-of-fold likelihood and averaged."""

    label_names: Auto | bool | Literal["alone"] = Field(
        "auto",
        description="Whether what the classes are called counts, on a backbone that reads names:"
        " encoders of texts, and networks of two towers (CLIP, SigLIP). alone: examples only judge"
        " it; so it is, too, where a class has no example. auto: as far as it proves useful.",
    )
    prompts: Auto | Annotated[list[Prompt], Field(min_length=1, max_length=80)] = Field(
        "auto",
        description="What is said of a name, which goes where `{}` is; the means of several count."
        " Of pictures, auto is `a photo of a {}.` and `{}`.",
    )

    depth: Literal["frozen", "auto"] = Field(
        "frozen",
        description="auto: of enough examples the network is tuned, too (as partial does, of texts"
        " as lora), and that is taken only where it is better out of fold beyond its interval.",
    )
    max_seconds: Auto | Seconds = Field(
        "auto",
        description="With depth auto: what trying that may take, estimated beforehand (auto: 600).",
    )
    n_epochs: Auto | Epochs = Field("auto", description="OpenAI's name; a closed form has none.")
    batch_size: Auto | Count = Field("auto", description="OpenAI's name; unused.")
    learning_rate_multiplier: Auto | Multiplier = Field("auto", description="Likewise unused.")

    @field_validator("max_seconds")
    @classmethod
    def _has_a_use(cls, value: str | float, told: ValidationInfo) -> str | float:
        if value != "auto" and told.data.get("depth") == "frozen":
            raise ValueError('it bounds what depth "auto" tries, and depth is "frozen"')
        return value


class OneSpace(Frozen):
    """A single head in a single feature space."""

    space: Auto | Space = Field(
        "auto", description="last: last layer; late: later levels, whitened; all: every level."
    )


class Logistic(OneSpace):
    """Multinomial logistic regression."""

    l2: Auto | Positive = Field("auto", description="λ of ½λ‖W‖² (auto: by cross-validation).")


class Ridge(OneSpace):
    """Least squares on one-hot labels."""

    l2: Auto | Positive = Field("auto", description="λ (auto: by leave-one-out in closed form).")


class Lda(OneSpace):
    """Linear discriminant analysis, its within-class covariance shrunk to the identity."""

    shrinkage: Auto | Share = Field("auto", description="Share of the identity (auto: by folds).")


class Prototypical(OneSpace):
    """The nearest class mean."""


class Matching(OneSpace):
    """Attention over the support set."""

    sharpness: Auto | Positive = Field(
        "auto", description="Factor on the cosine before the softmax (auto: by cross-validation)."
    )


class Reptile(OneSpace):
    """A linear head whose start is learned from the other datasets of the organisation."""

    meta_iterations: Auto | Count = Field("auto", description="Tasks visited while learning it.")
    meta_step: Auto | Share = Field("auto", description="How far the start follows each task.")
    inner_steps: Auto | Epochs = Field("auto", description="Gradient steps within a task.")
    inner_learning_rate: Auto | Rate = Field(
        "auto", description="Their length (auto: 5, or the first of its quarters that holds)."
    )


class Tuned(Hyperparameters):
    """What every method that tunes the network has."""

    epochs: Auto | Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        "auto",
        validation_alias=AliasChoices("epochs", "n_epochs"),
        description="At most so many a training (auto: by the number of examples, 3 to 10).",
    )
    share: Auto | Share = Field(
        "auto",
        description="What the tuned network counts for beside the frozen heads "
        "(auto: chosen out of fold; 0 where it is no better).",
    )
    class_balance: Auto | Literal["balanced", "none"] = Field(
        "auto", description="balanced: every class has the same say (auto: balanced)."
    )


class Partial(Tuned):
    """The network's last stages tuned from the frozen heads, and blended with them out of fold."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the last stage; earlier ones have less (auto: 1e-3).",
    )


class Lora(Tuned):
    """Low-rank adapters beside every layer, the network as it is; blended as `partial` is."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the adapters (auto: 1e-3).",
    )
    rank: Auto | Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        "auto",
        validation_alias=AliasChoices("rank", "r", "lora_r"),
        description="Of each adapter while it is trained; three are kept (auto: 8).",
    )


class SetFit(Tuned):
    """Adapters as those of `lora`, tuned by which texts have the same label; blended likewise."""

    epochs: Auto | Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        "auto",
        validation_alias=AliasChoices("epochs", "n_epochs", "num_epochs"),
        description="At most so many a training, each of which has pairs enough of few examples"
        " (auto: 4, of many 3).",
    )
    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr", "body_learning_rate"),
        description="Of the adapters (auto: 1e-3).",
    )
    rank: Auto | Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        "auto",
        validation_alias=AliasChoices("rank", "r", "lora_r"),
        description="Of each adapter while it is trained; three are kept (auto: 8).",
    )


class Full(Tuned):
    """Every layer of the network tuned from the frozen heads; blended as `partial` is."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the last layers; earlier ones have less (auto: 3e-4 of pictures, 1e-4 of"
        " texts).",
    )


class Linear(Hyperparameters):
    """The textbook recipe: a new fully connected layer by gradient descent."""

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="auto: 1e-4 (Adam), 1e-2 (SGD).",
    )
    epochs: Auto | Epochs = Field(
        "auto", validation_alias=AliasChoices("epochs", "n_epochs"), description="auto: 10."
    )
    batch_size: Auto | Count = Field("auto", description="auto: 32.")
    l2: Auto | Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)] = Field(
        "auto",
        validation_alias=AliasChoices("l2", "lambda", "weight_decay"),
        description="λ of λ‖W‖² (auto: 1e-4).",
    )
    momentum: Auto | Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        "auto", description="Of SGD (auto: 0.9)."
    )
    patience: Auto | Epochs | None = Field(
        "auto", description="Epochs without a better one before stopping (auto: 5; null: never)."
    )
