"""Looking at a dataset over HTTP: statistics, what changed, and small pictures."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.errors import HeadstartError
from app.core.image_formats import small_pictures
from app.core.image_formats.small_pictures import SmallPictureCall, SmallPictureFacts
from tests.api.service import Service
from tests.api.uploading import DATASETS, appended, code, examples, finish, made
from tests.archives import folders, picture, png, zipped

pytestmark = pytest.mark.slow


class Predictor:
    """Answers each picture by a small one of its own, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[SmallPictureCall] = []
        self.error: HeadstartError | None = None

    async def small_picture(
        self, call: SmallPictureCall, data: bytes
    ) -> tuple[SmallPictureFacts, bytes]:
        self.asked.append(call)
        if self.error is not None:
            raise self.error
        return SmallPictureFacts(call.size, call.size, 0.25), b"small" + data[:4]

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def predictor(service: Service) -> Predictor:
    found = Predictor()
    object.__setattr__(service.services, "predictor", found)
    return found


def statistics(client: httpx.Client, dataset: str, version: int = 1) -> dict[str, Any]:
    answer = client.get(f"{DATASETS}/{dataset}/versions/{version}/statistics")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_pictures_are_counted_by_format_size_and_brightness(
    service: Service, client: httpx.Client, predictor: Predictor
) -> None:
    files = {"train/a/1.png": png(1), "train/a/2.jpg": picture("JPEG"), "train/b/3.png": png(3)}
    dataset = made(client, zipped({**files, "test/b/4.png": png(4)}))["id"]
    assert code(client.get(f"{DATASETS}/{dataset}/versions/1/diff")) == (409, "not_ready")
    assert statistics(client, dataset)["image"]["brightness"] is None
    finish(service, dataset)
    told = statistics(client, dataset)
    assert told["image"]["formats"] == {"png": 3, "jpeg": 1}
    assert told["image"]["width"]["min"] >= 1
    assert sum(one["count"] for one in told["image"]["sizes"]) == 4
    assert told["image"]["brightness"]["by_class"] == {"a": 0.25, "b": 0.25}
    assert [(one["split"], one["num_examples"]) for one in told["splits"]] == [
        ("train", 3),
        ("test", 1),
    ]
    assert told["near_duplicates"] is None
    asked = len(predictor.asked)
    assert statistics(client, dataset) == told
    assert len(predictor.asked) == asked == 4


def test_without_a_predictor_brightness_is_not_known(
    service: Service, client: httpx.Client, predictor: Predictor
) -> None:
    dataset = made(client)["id"]
    finish(service, dataset)
    predictor.error = HeadstartError("predictor_unavailable")
    assert statistics(client, dataset)["image"]["brightness"] is None
    predictor.error = None
    assert statistics(client, dataset)["image"]["brightness"]["looked_at"] == 6


def test_texts_are_counted_by_length_and_script(service: Service, client: httpx.Client) -> None:
    rows = "text,label\nhello there,a\n\u0436\u0438\u0437\u043d\u044c,b\n\u4f60\u597d,a\n12 34,b\n"
    dataset = made(client, rows.encode(), filename="t.csv")["id"]
    finish(service, dataset)
    told = statistics(client, dataset)
    assert told["image"] is None
    assert told["text"]["scripts"] == {"Latin": 1, "Cyrillic": 1, "Han": 1, "none": 1}
    assert (told["text"]["characters"]["min"], told["text"]["characters"]["max"]) == (2, 11)
    assert told["text"]["words"]["max"] == 2


def test_what_changed_between_versions(service: Service, client: httpx.Client) -> None:
    dataset = made(client, zipped(folders({"a": 3, "b": 3})))["id"]
    finish(service, dataset)
    first = examples(client, dataset)
    path = f"{DATASETS}/{dataset}/examples"
    client.patch(f"{path}/{first[0]['id']}", json={"label": "b"})
    client.patch(f"{path}/{first[1]['id']}", json={"group": "g"})
    client.delete(f"{path}/{first[2]['id']}")
    appended(client, dataset, {"b/new.png": png(77)})
    finish(service, dataset)
    told = client.get(f"{DATASETS}/{dataset}/versions/5/diff", params={"from": 1}).json()
    assert (told["from_version"], told["to_version"], told["unchanged"]) == (1, 5, 3)
    assert [one["path"] for one in told["added"]["examples"]] == ["b/new.png"]
    assert [one["id"] for one in told["removed"]["examples"]] == [first[2]["id"]]
    (relabelled,) = told["relabelled"]["examples"]
    assert (relabelled["before"], relabelled["after"]) == ({"label": "a"}, {"label": "b"})
    assert [one["after"] for one in told["moved"]["examples"]] == [{"group": "g"}]
    step = client.get(f"{DATASETS}/{dataset}/versions/5/diff").json()
    assert (step["added"]["count"], step["removed"]["count"]) == (1, 0)
    assert client.get(f"{DATASETS}/{dataset}/versions/9/diff").status_code == 404


def test_a_thumbnail_is_made_once_and_named(
    service: Service, client: httpx.Client, predictor: Predictor
) -> None:
    dataset = made(client)["id"]
    finish(service, dataset)
    path = f"{DATASETS}/{dataset}/examples/{examples(client, dataset)[0]['id']}/thumbnail"
    answer = client.get(path, params={"size": 64})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"small")
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(path, params={"size": 64}, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, params={"size": 64}).content == answer.content
    assert len(predictor.asked) == 1
    assert client.get(path).headers["etag"] != answer.headers["etag"]
    assert client.get(path, params={"size": 5000}).status_code == 422


def test_a_thumbnail_says_what_is_wrong(
    service: Service, client: httpx.Client, other_client: httpx.Client, predictor: Predictor
) -> None:
    dataset = made(client)["id"]
    path = f"{DATASETS}/{dataset}/examples/{examples(client, dataset)[0]['id']}/thumbnail"
    predictor.error = HeadstartError("image_truncated")
    assert code(client.get(path)) == (422, "image_truncated")
    assert code(other_client.get(path)) == (404, "not_found")
    texts = made(client, b"text,label\nx,a\ny,b\n", filename="t.csv")["id"]
    one = examples(client, texts)[0]["id"]
    answer = client.get(f"{DATASETS}/{texts}/examples/{one}/thumbnail")
    assert code(answer) == (422, "modality_mismatch")


def test_no_predictor_at_all_is_told(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    path = f"{DATASETS}/{dataset}/examples/{examples(client, dataset)[0]['id']}/thumbnail"
    assert code(client.get(path)) == (503, "predictor_unavailable")


def test_calls_and_answers_are_read_as_they_were_written() -> None:
    call, facts = SmallPictureCall(9, low=0.5, high=2.0), SmallPictureFacts(3, 2, 0.5)
    assert small_pictures.read_call(b"".join(small_pictures.encode(call, b"x"))) == (call, b"x")
    assert small_pictures.read_facts(b"".join(small_pictures.encode(facts, b"y"))) == (facts, b"y")
    with pytest.raises(HeadstartError):
        small_pictures.read_call(b"\xff\xff\xff\xff{}")


@pytest.mark.parametrize("number", [2, 99, 2**40])
def test_a_version_that_is_not_there_is_named(client: httpx.Client, number: int) -> None:
    here = f"{DATASETS}/{made(client)['id']}/versions/{number}"
    for part in ("", "/statistics", "/diff?from=1", "/export?format=folder"):
        answer = client.get(here + part)
        assert answer.status_code == 404, part
        assert answer.json()["detail"] == f"the dataset has no version {number}: its latest is 1"
    nobody = client.get(f"{DATASETS}/ds_{0:026d}/versions/{number}").json()
    assert nobody["detail"] == "there is no such dataset"
