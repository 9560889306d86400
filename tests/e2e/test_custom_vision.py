"""Custom Vision's own SDK, as its quickstart uses it: create, tag, train, publish, predict."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from azure.cognitiveservices.vision.customvision.prediction import CustomVisionPredictionClient
from azure.cognitiveservices.vision.customvision.prediction.models import (
    CustomVisionErrorException as PredictionError,
)
from azure.cognitiveservices.vision.customvision.training import CustomVisionTrainingClient
from azure.cognitiveservices.vision.customvision.training.models import (
    CustomVisionErrorException as TrainingError,
)
from azure.cognitiveservices.vision.customvision.training.models import (
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageTagCreateEntry,
    ImageUrlCreateBatch,
    ImageUrlCreateEntry,
)
from msrest.authentication import ApiKeyCredentials

from tests import serving_kit as kit
from tests.e2e.conftest import Service

DIGITS = kit.digit_pngs(12)
HELD_OUT = kit.digit_pngs(3, skip=60)


@pytest.fixture
def trainer(service: Service) -> Iterator[CustomVisionTrainingClient]:
    credentials = ApiKeyCredentials(in_headers={"Training-key": service.key})
    with CustomVisionTrainingClient(service.url, credentials) as client:
        yield client


@pytest.fixture
def predictor(service: Service) -> Iterator[CustomVisionPredictionClient]:
    credentials = ApiKeyCredentials(in_headers={"Prediction-key": service.key})
    with CustomVisionPredictionClient(service.url, credentials) as client:
        yield client


def until_trained(trainer: CustomVisionTrainingClient, project: Any, iteration: Any) -> Any:
    """As the quickstart polls."""
    deadline = time.monotonic() + 600
    while iteration.status != "Completed":
        assert iteration.status == "Training", iteration.training_error_details
        assert time.monotonic() < deadline
        time.sleep(0.2)
        iteration = trainer.get_iteration(project.id, iteration.id)
    return iteration


def test_the_quickstart_works_unchanged(
    service: Service,
    trainer: CustomVisionTrainingClient,
    predictor: CustomVisionPredictionClient,
) -> None:
    domain = next(one for one in trainer.get_domains() if one.name == "General (compact)")
    project = trainer.create_project("digits", domain_id=domain.id)
    UUID(project.id)
    tags = {name: trainer.create_tag(project.id, name) for name in ("zero", "one", "two")}
    names = dict(zip("012", tags, strict=True))
    entries = [
        ImageFileCreateEntry(name=f"{place}.png", contents=data, tag_ids=[tags[names[label]].id])
        for place, (data, label) in enumerate(DIGITS)
    ]
    first = trainer.create_images_from_files(project.id, ImageFileCreateBatch(images=entries[:20]))
    assert first.is_batch_successful
    rest = trainer.create_images_from_files(project.id, ImageFileCreateBatch(images=entries[18:]))
    statuses = [one.status for one in rest.images]
    assert statuses == ["OKDuplicate"] * 2 + ["OK"] * (len(entries) - 20)
    assert rest.images[-1].image.tags[0].tag_name == "two"
    assert {tag.name: tag.image_count for tag in trainer.get_tags(project.id)} == {
        "zero": 12, "one": 12, "two": 12,
    }  # fmt: skip

    iteration = until_trained(trainer, project, trainer.train_project(project.id))
    assert iteration.name == "Iteration 1"
    performance = trainer.get_iteration_performance(project.id, iteration.id, threshold=0.5)
    assert {one.name for one in performance.per_tag_performance} == set(tags)
    assert performance.precision > 0.8

    with pytest.raises(PredictionError) as early:
        predictor.classify_image(project.id, "digits", HELD_OUT[0][0])
    assert early.value.error.code == "NotFoundIteration"
    assert trainer.publish_iteration(project.id, iteration.id, "digits", "/subscriptions/x")
    assert trainer.get_iteration(project.id, iteration.id).publish_name == "digits"
    right = 0
    for data, label in HELD_OUT:
        for ask in (predictor.classify_image, predictor.classify_image_with_no_store):
            found = ask(project.id, "digits", io.BytesIO(data), application="test")
            assert (found.project, found.iteration) == (project.id, iteration.id)
            assert sum(one.probability for one in found.predictions) == pytest.approx(1, abs=1e-3)
            best = found.predictions[0]
            assert best.tag_id == tags[best.tag_name].id
            right += best.tag_name == names[label]
    assert right >= 2 * (len(HELD_OUT) - 1)
    tested = trainer.quick_test_image(project.id, HELD_OUT[0][0])
    assert tested.predictions[0].tag_name == "zero"

    with pytest.raises(TrainingError) as kept:
        trainer.delete_project(project.id)
    assert kept.value.response.status_code == 409
    with pytest.raises(PredictionError) as inside:
        predictor.classify_image_url(project.id, "digits", f"{service.url}/livez")
    assert inside.value.error.code == "BadRequestImageUrl"
    trainer.unpublish_iteration(project.id, iteration.id)
    trainer.delete_iteration(project.id, iteration.id)
    assert trainer.get_iterations(project.id) == []
    trainer.delete_project(project.id)
    assert project.id not in {one.id for one in trainer.get_projects()}
    with pytest.raises(TrainingError) as gone:
        trainer.get_project(project.id)
    assert gone.value.error.code == "NotFoundProject"


def test_an_export_is_made_and_fetched(
    service: Service, trainer: CustomVisionTrainingClient
) -> None:
    project, _ = small_project(trainer)
    iteration = until_trained(trainer, project, trainer.train_project(project.id))
    assert "ONNX" in iteration.exportable_to
    made = trainer.export_iteration(project.id, iteration.id, "ONNX")
    deadline = time.monotonic() + 600
    while made.status == "Exporting":
        assert time.monotonic() < deadline
        time.sleep(0.5)
        (made,) = trainer.get_exports(project.id, iteration.id)
    assert (made.status, made.platform) == ("Done", "ONNX")
    answer = httpx.get(made.download_uri, headers={"Authorization": f"Bearer {service.key}"})
    assert answer.content.startswith(b"PK")
    with pytest.raises(TrainingError) as refused:
        trainer.export_iteration(project.id, iteration.id, "CoreML")
    assert refused.value.error.code == "BadRequestProjectUnsupportedExportPlatform"


def small_project(trainer: CustomVisionTrainingClient) -> tuple[Any, dict[str, Any]]:
    """Two tags, eight images each, sent one by one and tag by tag as scripts do."""
    project = trainer.create_project("small")
    tags = {name: trainer.create_tag(project.id, name) for name in ("zero", "one")}
    for place, tag in enumerate(tags.values()):
        for data, _ in DIGITS[12 * place : 12 * place + 8]:
            made = trainer.create_images_from_data(project.id, data, [tag.id])
            assert made.images[0].status == "OK"
    return project, tags


def test_images_are_listed_pulled_retagged_and_deleted(
    service: Service, trainer: CustomVisionTrainingClient
) -> None:
    project, tags = small_project(trainer)
    assert trainer.get_image_count(project.id) == 16
    assert trainer.get_untagged_images(project.id) == []
    pages = [trainer.get_tagged_images(project.id, take=10, skip=skip) for skip in (0, 10)]
    images = [image for page in pages for image in page]
    assert [len(page) for page in pages] == [10, 6]
    assert len({image.id for image in images}) == 16
    assert {(image.width, image.height) for image in images} == {(64, 64)}
    answer = httpx.get(
        images[0].original_image_uri, headers={"Authorization": f"Bearer {service.key}"}
    )
    assert answer.content in [data for data, _ in DIGITS]
    ones = trainer.get_images(project.id, tag_ids=[tags["one"].id])
    assert {image.tags[0].tag_name for image in ones} == {"one"}

    entry = ImageTagCreateEntry(image_id=ones[0].id, tag_id=tags["zero"].id)
    told = trainer.create_image_tags(project.id, [entry])
    assert [one.image_id for one in told.created] == [ones[0].id]
    assert len(trainer.get_images(project.id, tag_ids=[tags["zero"].id])) == 9
    trainer.delete_images(project.id, [image.id for image in ones])
    assert {tag.name: tag.image_count for tag in trainer.get_tags(project.id)} == {
        "zero": 8, "one": 0,
    }  # fmt: skip
    with pytest.raises(TrainingError) as lonely:
        trainer.train_project(project.id)
    assert lonely.value.error.code == "BadRequestTrainingValidationFailed"
    trainer.delete_images(project.id, all_images=True)
    assert trainer.get_image_count(project.id) == 0
    assert trainer.create_images_from_data(
        project.id, DIGITS[0][0], [tags["zero"].id]
    ).is_batch_successful


def test_bad_images_are_told_one_by_one(trainer: CustomVisionTrainingClient) -> None:
    project = trainer.create_project("bad")
    tag = trainer.create_tag(project.id, "zero")
    entries = [
        ImageFileCreateEntry(name="good.png", contents=DIGITS[0][0]),
        ImageFileCreateEntry(name="bad.png", contents=b"no image"),
    ]
    made = trainer.create_images_from_files(
        project.id, ImageFileCreateBatch(images=entries, tag_ids=[tag.id])
    )
    assert not made.is_batch_successful
    assert [(one.source_url, one.status) for one in made.images] == [
        ("good.png", "OK"), ("bad.png", "ErrorImageFormat"),
    ]  # fmt: skip
    inside = "http://127.0.0.1:1/a.png"
    urls = ImageUrlCreateBatch(images=[ImageUrlCreateEntry(url=inside, tag_ids=[tag.id])])
    (fetched,) = trainer.create_images_from_urls(project.id, urls).images
    assert (fetched.source_url, fetched.status) == (inside, "ErrorSource")
    with pytest.raises(TrainingError) as untagged:
        trainer.create_images_from_data(project.id, DIGITS[1][0])
    assert "exactly one tag" in untagged.value.error.message


def test_nothing_is_fetched_for_what_is_not_published(
    service: Service, predictor: CustomVisionPredictionClient
) -> None:
    with pytest.raises(PredictionError) as refused:
        predictor.classify_image_url(str(UUID(int=0)), "any", f"{service.url}/livez")
    assert refused.value.error.code == "NotFoundIteration"


def test_wrong_keys_are_told(service: Service) -> None:
    credentials = ApiKeyCredentials(in_headers={"Training-key": "hs_wrong"})
    with CustomVisionTrainingClient(service.url, credentials) as client:
        with pytest.raises(TrainingError) as refused:
            client.get_projects()
    assert refused.value.response.status_code == 401
    assert refused.value.error.message


def test_an_image_may_have_several_tags(
    trainer: CustomVisionTrainingClient, predictor: CustomVisionPredictionClient
) -> None:
    project = trainer.create_project("several", classification_type="Multilabel")
    assert project.settings.classification_type == "Multilabel"
    tags = {name: trainer.create_tag(project.id, name) for name in ("zero", "low", "two")}
    told = {"0": ["zero", "low"], "1": ["low"], "2": ["two"]}
    entries = [
        ImageFileCreateEntry(
            name=str(place), contents=data, tag_ids=[tags[name].id for name in told[label]]
        )
        for place, (data, label) in enumerate(DIGITS)
    ]
    made = trainer.create_images_from_files(project.id, ImageFileCreateBatch(images=entries))
    assert made.is_batch_successful
    assert {tag.tag_name for tag in made.images[0].image.tags} == {"zero", "low"}
    last = made.images[-1].image.id
    entry = ImageTagCreateEntry(image_id=last, tag_id=tags["low"].id)
    assert len(trainer.create_image_tags(project.id, [entry]).created) == 1
    assert len(trainer.create_image_tags(project.id, [entry]).duplicated) == 1
    (image,) = trainer.get_images_by_ids(project.id, [last])
    assert {tag.tag_name for tag in image.tags} == {"two", "low"}
    counts = {tag.id: tag.image_count for tag in trainer.get_tags(project.id)}
    assert counts == {tags["zero"].id: 12, tags["low"].id: 25, tags["two"].id: 12}
    for tag, count in counts.items():
        found = trainer.get_tagged_images(project.id, tag_ids=[tag], take=100)
        assert len(found) == trainer.get_tagged_image_count(project.id, tag_ids=[tag]) == count
        assert all(tag in {other.tag_id for other in one.tags} for one in found)
    either = [tags["zero"].id, tags["two"].id]
    assert trainer.get_tagged_image_count(project.id, tag_ids=either) == 24
    iteration = until_trained(trainer, project, trainer.train_project(project.id))
    assert iteration.classification_type == "Multilabel"
    performance = trainer.get_iteration_performance(project.id, iteration.id)
    figures = [one.average_precision for one in performance.per_tag_performance]
    assert len(figures) == 3
    assert all(0.8 < one <= 1 for one in figures)
    assert performance.average_precision == pytest.approx(sum(figures) / 3, abs=0.01)
    trainer.publish_iteration(project.id, iteration.id, "several", "/subscriptions/x")
    found = predictor.classify_image(project.id, "several", HELD_OUT[0][0])
    likely = {one.tag_name for one in found.predictions if one.probability > 0.5}
    assert likely == {"zero", "low"}
