"""Examples over HTTP: read, append, relabel and drop, each change a version of its own."""

from __future__ import annotations

import threading

import httpx
import pytest

from app.core.manifest import Problem
from app.infra.database import transaction
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from tests.api.service import Service
from tests.api.uploading import (
    DATASETS,
    appended,
    code,
    examples,
    finish,
    leftovers,
    made,
    rows,
    send,
    works,
)
from tests.archives import folders, picture, png, zipped

pytestmark = pytest.mark.slow


def labels(client: httpx.Client, dataset: str, **query: int) -> dict[str, str]:
    return {one["path"]: one["label"] for one in examples(client, dataset, **query)}


def example_at(client: httpx.Client, dataset: str, path: str) -> str:
    found = [one["id"] for one in examples(client, dataset) if one["path"] == path]
    assert len(found) == 1
    return str(found[0])


def test_examples_are_paged_and_filtered(client: httpx.Client) -> None:
    dataset = made(client, zipped(folders({"a": 4, "b": 3})))["id"]
    all_of_them = [one["id"] for one in examples(client, dataset)]
    walked: list[str] = []
    more = True
    while more:
        query = {"limit": 3} | ({"after": walked[-1]} if walked else {})
        page = client.get(f"{DATASETS}/{dataset}/examples", params=query).json()
        walked += [one["id"] for one in page["data"]]
        more = page["has_more"]
    assert walked == all_of_them
    assert len(set(walked)) == 7
    assert len(examples(client, dataset, label="b")) == 3
    assert len(examples(client, dataset, split="train")) == 7
    assert examples(client, dataset, split="test") == []


@pytest.mark.parametrize(
    "query", [{"limit": "-1"}, {"limit": "1001"}, {"after": "x"}, {"after": "ex_" + "0" * 24},
              {"after": "ex_\0"}, {"label": "\0"}, {"suspect": "a\0b"},
              {"split": "dev"}, {"version": "0"}]
)  # fmt: skip
def test_bad_queries_are_refused(client: httpx.Client, query: dict[str, str]) -> None:
    dataset = made(client)["id"]
    answer = client.get(f"{DATASETS}/{dataset}/examples", params=query)
    assert code(answer) == (422, "invalid_request")


def test_the_content_is_what_was_uploaded(client: httpx.Client) -> None:
    jpeg = picture("JPEG", seed=9)
    dataset = made(client, zipped({"a/1.png": png(1), "b/2.jpg": jpeg}))["id"]
    example = example_at(client, dataset, "b/2.jpg")
    answer = client.get(f"{DATASETS}/{dataset}/examples/{example}/content")
    assert answer.content == jpeg
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    one = client.get(f"{DATASETS}/{dataset}/examples/{example}").json()
    assert (one["object"], one["bytes"]) == ("dataset.example", len(jpeg))


def test_a_text_reads_as_text(client: httpx.Client) -> None:
    markup = "<script>ẹ káàárọ̀</script>"
    data = f'text,label\n"{markup}",a\nbye,b\n'.encode()
    dataset = made(client, data, filename="set.csv")["id"]
    answer = client.get(
        f"{DATASETS}/{dataset}/examples/{examples(client, dataset)[0]['id']}/content"
    )
    assert answer.text == markup
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_appending_makes_a_version_with_all_examples(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    before = labels(client, dataset)
    answer = send(
        client,
        zipped({"c/new.png": png(900)}),
        to=f"{DATASETS}/{dataset}/examples",
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{DATASETS}/{dataset}/versions/2"
    assert answer.json()["version"] == 2
    assert labels(client, dataset) == before | {"c/new.png": "c"}
    assert labels(client, dataset, version=1) == before
    assert [work.payload["stop"] for work in works(service)] == [6, 7]


@pytest.mark.parametrize(
    "field", [{"name": "other"}, {"backbone": "efficientnet_lite0"}, {"modality": "text"}]
)
def test_appending_does_not_change_what_the_dataset_is(
    service: Service, client: httpx.Client, field: dict[str, str]
) -> None:
    path = f"{DATASETS}/{made(client)['id']}/examples"
    before = leftovers(service)
    answer = send(client, zipped({"c/new.png": png(900)}), to=path, **field)
    assert code(answer) == (422, "invalid_request")
    assert answer.json()["param"] in field
    assert leftovers(service) == before
    assert made(client, zipped({"c/new.png": png(900)}), to=path, modality="image")["version"] == 2


def test_appending_the_same_again_changes_nothing_but_the_version(client: httpx.Client) -> None:
    data = zipped(folders({"a": 2, "b": 2}))
    first = made(client, data)
    again = made(client, data, to=f"{DATASETS}/{first['id']}/examples")
    assert (again["version"], again["num_examples"]) == (2, 4)
    assert [one["code"] for one in again["problems"]] == ["duplicate_example"]
    assert again["problems"][0]["message"].startswith("4 example(s) are in the dataset already")


def test_the_newer_label_of_a_known_content_holds(client: httpx.Client) -> None:
    members = {"a/1.png": png(1), "b/2.png": png(2), "b/3.png": png(3)}
    dataset = made(client, zipped(members))["id"]
    found = appended(client, dataset, {"a/again.png": png(1), "a/2.png": png(2)})
    assert [one["code"] for one in found["problems"]] == ["label_corrected", "duplicate_example"]
    told = sorted((one["path"], one["label"]) for one in examples(client, dataset))
    assert told == [("a/1.png", "a"), ("b/2.png", "a"), ("b/3.png", "b")]


def test_an_appended_row_denies_no_other_label(client: httpx.Client) -> None:
    rows = ["text,label,present", "a b,x,1", "a b,y,1", "c d,y,1", "c d,x,0"]
    asked = {"label_mode": "multi_label"}
    dataset = made(client, "\n".join(rows).encode(), filename="x.csv", **asked)["id"]
    sent = b"text,label,present\na b,z,0\nc d,y,0"
    made(client, sent, filename="x.csv", to=f"{DATASETS}/{dataset}/examples")
    assert [one["labels"] for one in examples(client, dataset)] == [["x", "y"], []]


def test_an_append_can_be_seen_before(service: Service, client: httpx.Client) -> None:
    dataset = made(client, zipped({"a/1.png": png(1), "b/2.png": png(2), "b/3.png": png(3)}))["id"]
    before = leftovers(service)
    sent = zipped({"a/moved.png": png(2), "c/new.png": png(9)})
    path = f"{DATASETS}/{dataset}/examples"
    answer = send(client, sent, to=f"{path}?validate_only=true")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    classes = [(one["label"], one["count"]) for one in report["classes"]]
    assert classes == [("a", 2), ("b", 1), ("c", 1)]
    assert leftovers(service) == before
    real = made(client, sent, to=path)
    assert [real[name] for name in ("classes", "problems")] == [
        report[name] for name in ("classes", "problems")
    ]


def test_an_edited_export_corrects_what_it_came_from(
    service: Service, client: httpx.Client
) -> None:
    lines = [
        f"note number {word},{label}"
        for word, label in zip("one two six ten".split(), "abab", strict=True)
    ]
    data = "\n".join(["text,label", *lines]).encode()
    dataset = made(client, data, filename="d.csv")["id"]
    finish(service, dataset)
    answer = client.get(f"{DATASETS}/{dataset}/versions/1/export", params={"format": "csv"})
    edited = answer.content.replace(b"number one,a", b"number one,b")
    assert edited != answer.content
    found = made(client, edited, filename="v1.csv", to=f"{DATASETS}/{dataset}/examples")
    assert found["classes"] == [{"label": "a", "count": 1}, {"label": "b", "count": 3}]


def test_an_append_that_contradicts_the_last_class_is_refused(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client, zipped({"a/1.png": png(1), "b/2.png": png(2)}))["id"]
    before = leftovers(service)
    answer = send(client, zipped({"a/2.png": png(2)}), to=f"{DATASETS}/{dataset}/examples")
    assert code(answer) == (422, "insufficient_classes")
    assert leftovers(service) == before
    assert rows(service) == 2


def test_an_append_of_another_modality_is_refused(service: Service, client: httpx.Client) -> None:
    dataset = made(client)["id"]
    before = leftovers(service)
    answer = send(
        client, b"text,label\nx,a\n", filename="t.csv", to=f"{DATASETS}/{dataset}/examples"
    )
    assert code(answer) == (422, "modality_mismatch")
    assert leftovers(service) == before


def test_appends_at_once_all_count(service: Service, client: httpx.Client) -> None:
    dataset = made(client)["id"]

    def append(number: int) -> None:
        appended(client, dataset, {f"a/extra-{number}.png": png(700 + number)})

    threads = [threading.Thread(target=append, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = client.get(f"{DATASETS}/{dataset}").json()
    assert (found["version"], found["num_examples"]) == (6, 11)
    kept = [name for name in leftovers(service) if "/manifests/" in name]
    assert len(kept) == 6, "manifests of lost races are taken back"


def test_relabelling_resolves_a_conflict(client: httpx.Client) -> None:
    members = {"a/1.png": png(1), "b/1.png": png(1), "a/2.png": png(2), "b/3.png": png(3)}
    dataset = made(client, zipped(members))
    assert dataset["num_examples"] == 2
    example = example_at(client, dataset["id"], "b/1.png")
    answer = client.patch(f"{DATASETS}/{dataset['id']}/examples/{example}", json={"label": "a"})
    assert answer.status_code == 200
    assert answer.headers["location"] == f"{DATASETS}/{dataset['id']}/versions/2"
    found = answer.json()
    assert (found["version"], found["num_examples"], found["status"]) == (2, 4, "processing")
    assert [problem["code"] for problem in found["problems"]] == ["duplicate_example"]
    assert labels(client, dataset["id"])["b/1.png"] == "a"
    assert labels(client, dataset["id"], version=1)["b/1.png"] == "b"


def test_an_example_moves_to_another_split_and_group(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    example = examples(client, dataset)[0]["id"]
    change = {"split": "test", "group": " patient 7\u00a0"}
    client.patch(f"{DATASETS}/{dataset}/examples/{example}", json=change).raise_for_status()
    found = client.get(f"{DATASETS}/{dataset}/examples/{example}").json()
    assert (found["split"], found["group"]) == ("test", "patient 7")
    cleared = client.patch(f"{DATASETS}/{dataset}/examples/{example}", json={"group": None})
    assert cleared.json()["version"] == 3
    assert client.get(f"{DATASETS}/{dataset}/examples/{example}").json()["group"] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "invalid_request"),
        ({"label": ""}, "invalid_request"),
        ({"label": None}, "invalid_request"),
        ({"label": "a\u202eb"}, "invalid_request"),
        ({"label": "x" * 10_000}, "label_too_long"),
        ({"split": "dev"}, "invalid_request"),
        ({"group": "x" * 257}, "invalid_request"),
        ({"colour": "blue"}, "invalid_request"),
        ({"label": 3}, "invalid_request"),
        ({"label": " \ufeff "}, "invalid_request"),
        ({"group": "\u200b"}, "invalid_request"),
    ],
)
def test_bad_changes_are_refused(
    service: Service, client: httpx.Client, change: dict[str, object], expected: str
) -> None:
    dataset = made(client)["id"]
    example = examples(client, dataset)[0]["id"]
    answer = client.patch(f"{DATASETS}/{dataset}/examples/{example}", json=change)
    assert code(answer) == (422, expected)
    assert "pattern" not in answer.json()["detail"]
    assert rows(service) == 2


def test_dropping_makes_a_version_without_the_example(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    example = examples(client, dataset)[0]["id"]
    answer = client.delete(
        f"{DATASETS}/{dataset}/examples/{example}", headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["num_examples"]) == (200, 5)
    path = f"{DATASETS}/{dataset}/examples/{example}"
    assert code(client.get(path)) == (404, "not_found")
    assert code(client.delete(path)) == (404, "not_found")
    assert client.get(f"{path}/content", params={"version": 1}).status_code == 200


def test_the_last_of_the_second_class_cannot_be_dropped(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client, zipped({"a/1.png": png(1), "b/2.png": png(2)}))["id"]
    before = leftovers(service)
    answer = client.delete(f"{DATASETS}/{dataset}/examples/{examples(client, dataset)[0]['id']}")
    assert code(answer) == (422, "insufficient_classes")
    assert leftovers(service) == before


@pytest.mark.parametrize("example", ["ex_" + "0" * 24, "ex_%00", "nonsense", "x" * 5000])
def test_unknown_examples_are_not_found(client: httpx.Client, example: str) -> None:
    path = f"{DATASETS}/{made(client)['id']}/examples/{example}"
    assert code(client.get(path)) == (404, "not_found")
    assert code(client.get(f"{path}/content")) == (404, "not_found")
    assert code(client.patch(path, json={"label": "b"})) == (404, "not_found")


def _reject(service: Service, dataset: str, example: dict[str, str]) -> None:
    """Note, as a trainer does, that an example could not be decoded."""
    told = Problem(
        code="image_truncated",
        message=f"{example['path']}: the image is cut short",
        path=example["path"],
        example_id=example["id"],
        excluded=True,
    )
    with transaction(service.services.sessions) as session:
        version = session.query(DatasetVersionRow).filter_by(dataset_id=dataset).one()
        versions.add_problems(version, [told])
    finish(service, dataset)


def test_what_could_not_be_decoded_is_left_out_but_not_forgotten(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    bad, good = examples(client, dataset)[:2]
    _reject(service, dataset, bad)
    found = appended(client, dataset, {"a/new.png": png(800)})
    assert found["num_examples"] == 6
    assert [problem["code"] for problem in found["problems"]] == ["image_truncated"]
    assert bad["path"] not in labels(client, dataset)
    dropped = client.delete(f"{DATASETS}/{dataset}/examples/{good['id']}").json()
    assert [problem["example_id"] for problem in dropped["problems"]] == [bad["id"]]


def test_an_example_that_could_not_be_decoded_can_be_dropped(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    bad = examples(client, dataset)[0]
    _reject(service, dataset, bad)
    assert examples(client, dataset)[0]["excluded"]
    found = client.delete(f"{DATASETS}/{dataset}/examples/{bad['id']}").json()
    assert found["problems"] == []
