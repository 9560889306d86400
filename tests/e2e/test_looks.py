"""A dataset that one can look at, over HTTP: small pictures, statistics, and near copies told."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.e2e.archives import zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.unit.dicoms import CANARY, dicom, grey

RANDOM = np.random.default_rng(3)


def scene(tint: int) -> Image.Image:
    coarse = RANDOM.integers(0, 256, (6, 6, 3))
    coarse[..., 0] = (coarse[..., 0] + tint) // 2
    return Image.fromarray(coarse.astype(np.uint8)).resize((120, 90), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 95) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def test_a_near_copy_of_a_training_picture_is_not_judged_by(service: Service) -> None:
    scenes = {label: [scene(tint) for _ in range(6)] for label, tint in (("a", 0), ("b", 255))}
    files = {
        f"train/{label}/{n}.jpg": jpeg(one)
        for label in scenes
        for n, one in enumerate(scenes[label])
    }
    files |= {f"test/{label}/{n}.jpg": jpeg(scene(9)) for label in scenes for n in range(3)}
    files["test/a/again.jpg"] = jpeg(scenes["a"][0].resize((100, 75)), quality=70)
    with service.client() as client:
        dataset = upload(client, zipped(files))
        found = [one for one in dataset["problems"] if one["code"] == "duplicate_across_splits"]
        assert [(one["path"], one["excluded"]) for one in found] == [("test/a/again.jpg", True)]
        assert "train/a/0.jpg" in found[0]["message"]
        version = f"/v1/datasets/{dataset['id']}/versions/1"
        told = client.get(f"{version}/statistics").json()
        assert [len(group) for group in told["near_duplicates"]["groups"]] == [2]
        assert told["near_duplicates"]["looked_at"] == len(files)
        assert told["num_excluded"] == 1
        assert 0 < told["image"]["brightness"]["spread"]["median"] < 1
        one = client.get(f"/v1/datasets/{dataset['id']}/examples").json()["data"][0]["id"]
        small = client.get(f"/v1/datasets/{dataset['id']}/examples/{one}/thumbnail?size=48")
        assert Image.open(io.BytesIO(small.content)).size == (48, 36)


def test_a_near_copy_of_a_training_text_is_not_judged_by(service: Service) -> None:
    rows = [
        ("How do I activate my new card?", "card", "train"),
        ("Where is the card that you sent me?", "card", "train"),
        ("Why was I charged a fee for this?", "fee", "train"),
        ("There is a fee that I do not know", "fee", "train"),
        ("how do i activate my new card", "card", "test"),
        ("WHERE IS THE CARD THAT YOU SENT ME", "fee", "test"),
        ("What does a transfer cost?", "fee", "test"),
    ]
    lines = [json.dumps({"text": t, "label": label, "split": s}) for t, label, s in rows]
    with service.client() as client:
        dataset = upload(client, "\n".join(lines).encode(), "bank.jsonl")
        found = [one for one in dataset["problems"] if one["code"] == "duplicate_across_splits"]
        told = [(one["path"], one["excluded"]) for one in found]
        assert sorted(told) == [("bank.jsonl:5", True), ("bank.jsonl:6", False)]
        assert dataset["num_examples"] == 6
        statistics = client.get(f"/v1/datasets/{dataset['id']}/versions/1/statistics").json()
        assert [len(group) for group in statistics["near_duplicates"]["groups"]] == [2, 2]
        assert statistics["near_duplicates"]["looked_at"] == 7
        assert statistics["text"]["scripts"] == {"Latin": 6}


def by_coin(client: httpx.Client, dataset: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a model's evaluation says that was trained on labels that mean nothing."""
    job = fine_tune(client, dataset["id"], **fields)
    return dict(client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json())


def holds_a_half(evaluation: dict[str, Any]) -> bool:
    return bool(evaluation["accuracy"]["low"] <= 0.5 <= evaluation["accuracy"]["high"])


def test_pictures_and_their_thumbnails_tell_nothing_of_labels_by_coin(service: Service) -> None:
    scenes = [scene(99 * (n % 3)) for n in range(40)]
    pairs = {"": 120, "-small": 60}
    files = {
        f"{'ab'[RANDOM.integers(2) if n > 3 else n % 2]}/{n}": one for n, one in enumerate(scenes)
    }
    copies = {
        f"{path}{name}.jpg": jpeg(one.resize((side, side * 3 // 4)), quality=85)
        for path, one in files.items()
        for name, side in pairs.items()
    }
    with service.client() as client:
        evaluation = by_coin(client, upload(client, zipped(copies)))
    assert evaluation["how"]["near_copies"] == "judged together"
    assert evaluation["advice"]["near_copies"]["count"] == len(copies)
    assert holds_a_half(evaluation), evaluation["accuracy"]


def said(seed: int) -> str:
    random = Random(seed)
    words = "card fee cash bank loan rate limit phone money app code pin transfer account balance"
    return f"{random.choice(['Why', 'When', 'How'])} {' '.join(random.sample(words.split(), 6))}?"


def test_texts_and_their_retweets_tell_nothing_of_labels_by_coin(service: Service) -> None:
    random = Random(5)
    rows = [(said(n), random.choice("ab")) for n in range(40)]
    lines = [
        json.dumps({"text": text, "label": label})
        for one, label in rows
        for text in (one, f"RT @bob: {one.upper()} https://t.co/x")
    ]
    others = [json.dumps({"text": text.upper(), "label": label}) for text, label in rows]
    others += [json.dumps({"text": said(n), "label": random.choice("ab")}) for n in range(90, 120)]
    with service.client() as client:
        dataset = upload(client, "\n".join(lines).encode(), "tweets.jsonl")
        evaluation = by_coin(client, dataset, model="all-MiniLM-L6-v2")
        held_out = upload(client, "\n".join(others).encode(), "held_out.jsonl")
        fields = {"model": "all-MiniLM-L6-v2", "validation_file": held_out["id"]}
        compared = by_coin(client, dataset, **fields)
    assert evaluation["how"]["near_copies"] == "judged together"
    assert evaluation["advice"]["near_copies"]["count"] == 80
    assert holds_a_half(evaluation), evaluation["accuracy"]
    assert compared["how"]["num_examples"] == 30
    assert holds_a_half(compared), compared["accuracy"]


def test_dicoms_are_learned_from_and_seen_without_their_patients(service: Service) -> None:
    files = {
        f"{label}/{n}.dcm": dicom(
            np.flipud(grey(top=2000 + 99 * n)) if label == "up" else grey(top=2000 + 99 * n),
            PatientID=f"{CANARY}-{n % 4}", BitsStored=12,
        )
        for label in ("up", "down")
        for n in range(8)
    }  # fmt: skip
    with service.client() as client:
        dataset = upload(client, zipped(files))
        assert dataset["num_examples"] == 16
        assert dataset["pixel_scale"] == {"low": 0.0, "high": 4095.0}
        listed = client.get(f"/v1/datasets/{dataset['id']}/examples")
        assert len({one["group"] for one in listed.json()["data"]}) == 4
        assert CANARY not in listed.text
        one = listed.json()["data"][0]["id"]
        path = f"/v1/datasets/{dataset['id']}/examples/{one}"
        content = client.get(f"{path}/content")
        assert content.headers["content-type"] == "application/dicom"
        assert CANARY.encode() not in content.content
        assert client.get(f"{path}/thumbnail").headers["content-type"] == "image/jpeg"
    for stored in service.data_dir.rglob("*"):
        if stored.is_file() and stored.suffix not in (".log",):
            assert CANARY.encode() not in stored.read_bytes(), stored
