"""What `auto` is made of here."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.backbones import E5, EFFICIENTNET, MINILM
from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.auto_backbone import auto_backbone, further
from app.infra.settings import Settings, load_settings


@pytest.fixture
def without_e5(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the second encoder was not installed."""
    found = weights.find
    monkeypatch.setattr(
        weights, "find", lambda name, folder: None if name == E5.name else found(name, folder)
    )


def test_texts_are_read_by_both_encoders_and_pictures_by_one() -> None:
    settings = Settings()
    assert auto_backbone("text", settings).spec.name == f"{MINILM.name}+{E5.name}"
    assert auto_backbone("image", settings).spec.name == EFFICIENTNET.name
    assert [one.name for one in further("text", settings, beside=MINILM.name)] == [E5.name]
    assert further("image", settings, beside=EFFICIENTNET.name) == []


def test_an_operator_chooses_one_encoder_or_the_quality_tier() -> None:
    settings = Settings(
        prediction_backbones="all-MiniLM-L6-v2, efficientnet_lite0,efficientnet_lite2"
    )
    assert auto_backbone("text", settings).spec.name == MINILM.name
    names = [one.name for one in auto_backbone("image", settings).spec.parts]
    assert names == ["efficientnet_lite0", "efficientnet_lite2"]


def test_a_modality_that_is_not_listed_keeps_its_default() -> None:
    settings = Settings(prediction_backbones="efficientnet_lite2")
    assert auto_backbone("text", settings).spec.name == f"{MINILM.name}+{E5.name}"


def test_what_tunes_one_network_takes_the_first_that_can_be_tuned() -> None:
    settings = Settings()
    assert auto_backbone("text", settings, depth="lora").spec.name == MINILM.name
    assert auto_backbone("image", settings, depth="partial").spec.name == EFFICIENTNET.name
    listed = Settings(prediction_backbones=f"{E5.name},{MINILM.name}")
    assert auto_backbone("text", listed, depth="full").spec.name == E5.name


@pytest.mark.usefixtures("without_e5")
def test_what_is_not_here_is_left_out_and_told() -> None:
    meant = auto_backbone("text", Settings())
    assert meant.spec.name == MINILM.name
    assert [one.name for one in meant.missing] == [E5.name]
    assert further("text", Settings(), beside=MINILM.name) == []


@pytest.mark.usefixtures("without_e5")
def test_where_none_is_here_it_is_said_how_to_supply_it() -> None:
    with pytest.raises(HeadstartError) as caught:
        auto_backbone("text", Settings(prediction_backbones=E5.name))
    assert caught.value.code == "backbone_unavailable"


def test_a_misspelt_name_is_refused_as_the_service_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADSTART_PREDICTION_BACKBONES", "efficientnet_light0")
    with pytest.raises(HeadstartError) as caught:
        load_settings()
    assert caught.value.param == "HEADSTART_PREDICTION_BACKBONES"
    (tmp_path / "efficientnet_light0").mkdir()
    monkeypatch.setenv("HEADSTART_WEIGHTS_DIR", str(tmp_path))
    assert load_settings().prediction_backbones == "efficientnet_light0"
