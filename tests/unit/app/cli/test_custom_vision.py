"""A Custom Vision project, pulled from a server that speaks the training API's shapes."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.cli.remote.custom_vision import PAGE, CustomVision
from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions, build
from tests.archives import picture, png

pytestmark = pytest.mark.slow

PROJECT = "2d5f0a9e-2a9d-4a1f-9c5e-6a54bd2d1a01"
TAGS = [
    {"id": "t-cat", "name": "cat", "type": "Regular", "imageCount": 70},
    {"id": "t-dog", "name": "dog", "type": "Regular", "imageCount": 60},
    {"id": "t-none", "name": "Negative", "type": "Negative", "imageCount": 1},
]


@dataclass
class Azure:
    """What the server holds, and what was asked of it."""

    url: str = ""
    images: list[dict[str, Any]] = field(default_factory=list)
    busy: int = 0
    old: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def image(self, number: int, *tags: str, regions: tuple[str, ...] = ()) -> None:
        self.images.append(
            {
                "id": f"i-{number:04}",
                "width": 8,
                "height": 8,
                "originalImageUri": f"{self.url}/blobs/{number}?sig=SECRET",
                "tags": [{"tagId": f"t-{tag}", "tagName": tag} for tag in tags],
                "regions": [
                    {"tagId": f"t-{tag}", "left": 0.1, "top": 0.1, "width": 0.2, "height": 0.2}
                    for tag in regions
                ],
            }
        )

    def answer(self, path: str, query: dict[str, list[str]], key: str | None) -> tuple[int, Any]:
        if path.startswith("/blobs/"):
            number = int(path.rpartition("/")[2])
            return (
                (404, b"")
                if number == 404
                else (200, picture("JPEG") if number > 99 and number % 2 else png(number))
            )
        if key != "right":
            return 401, {"code": "Unauthorized", "message": "the key is wrong"}
        if self.busy:
            self.busy -= 1
            return 429, {"code": "TooManyRequests", "message": "wait"}
        base = f"/customvision/v3.3/training/projects/{PROJECT}"
        if path == base:
            return 200, {"id": PROJECT, "name": "pets", "settings": {"classificationType": "x"}}
        if path == f"{base}/tags":
            return 200, TAGS
        if path == f"{base}/images/tagged" or (path == f"{base}/images" and not self.old):
            take, skip = (
                int(query.get(name, [default])[0])
                for name, default in (("take", "50"), ("skip", "0"))
            )
            assert take <= PAGE
            return 200, self.images[skip : skip + take]
        return 404, {"code": "NotFound", "message": "no such thing"}


@pytest.fixture
def azure() -> Iterator[Azure]:
    held = Azure()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = urlsplit(self.path)
            key = self.headers.get("Training-key")
            held.asked.append((self.path, key))
            status, body = held.answer(told.path, parse_qs(told.query), key)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield held
        server.shutdown()
        thread.join()


def pull(
    azure: Azure, target: Path, *, key: str = "right"
) -> tuple[Any, list[dict[str, Any]], str]:
    waits: list[float] = []
    vision = CustomVision(azure.url, key=key, project=PROJECT, pause=waits.append)
    project = vision.pull(target)
    with zipfile.ZipFile(target) as archive:
        rows = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
        assert {row["path"] for row in rows} <= set(archive.namelist())
        return project, rows, archive.read("customvision.json").decode()


def test_every_page_is_pulled_and_becomes_labels(azure: Azure, tmp_path: Path) -> None:
    for number in range(130):
        azure.image(number, "cat" if number < 70 else "dog")
    azure.busy = 2
    project, rows, noted = pull(azure, tmp_path / "a.zip")
    assert (project.name, project.pictures, project.labels) == ("pets", 130, {"cat": 70, "dog": 60})
    assert len({row["path"] for row in rows}) == 130
    assert rows[0] == {"path": "images/i-0000.png", "label": "cat"}
    assert rows[129]["label"] == "dog"
    assert rows[129]["path"].endswith(".jpeg")
    assert "SECRET" not in noted
    assert all(key is None for path, key in azure.asked if path.startswith("/blobs/"))


def test_the_archive_is_a_dataset(azure: Azure, tmp_path: Path) -> None:
    for number in (2, 4, 6, 8):
        azure.image(number, "cat" if number < 5 else "dog")
    target = tmp_path / "a.zip"
    pull(azure, target)
    built = build(target, filename="a.zip", staging=tmp_path)
    assert (built.examples[0].path, built.examples[0].label) == ("images/i-0002.png", "cat")
    assert built.classes == [{"label": "cat", "count": 2}, {"label": "dog", "count": 2}]


def test_an_older_api_is_asked_for_tagged_images(azure: Azure, tmp_path: Path) -> None:
    azure.old = True
    azure.image(1, "cat")
    azure.image(2, "dog")
    assert pull(azure, tmp_path / "a.zip")[0].pictures == 2


def test_negative_untagged_and_lost_pictures_are_counted(azure: Azure, tmp_path: Path) -> None:
    azure.image(1, "cat")
    azure.image(2, "none")
    azure.image(3)
    azure.image(404, "dog")
    azure.image(4, regions=("dog", "dog"))
    project, rows, noted = pull(azure, tmp_path / "a.zip")
    assert [row["label"] for row in rows] == ["cat", "dog"]
    assert project.left_out == {"tagged negative": 1, "untagged": 1, "cannot be fetched": 1}
    assert project.regions == 2
    assert '"left": 0.1' in noted


def test_several_tags_are_lists_and_negative_is_none_of_them(azure: Azure, tmp_path: Path) -> None:
    azure.image(1, "cat", "dog")
    azure.image(2, "cat")
    azure.image(3, "none")
    azure.image(4, "dog")
    target = tmp_path / "a.zip"
    rows = pull(azure, target)[1]
    assert [row["labels"] for row in rows] == [["cat", "dog"], ["cat"], [], ["dog"]]
    options = IntakeOptions(label_mode=None)
    built = build(target, filename="a.zip", staging=tmp_path, options=options)
    assert [one.labels for one in built.examples] == [("cat", "dog"), ("cat",), (), ("dog",)]


def test_what_the_api_refuses_is_said_without_its_key(azure: Azure, tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="the key is wrong") as caught:
        pull(azure, tmp_path / "a.zip", key="wrong")
    assert caught.value.code == "invalid_request"
    azure.busy = 99
    with pytest.raises(HeadstartError) as away:
        pull(azure, tmp_path / "a.zip")
    assert away.value.code == "storage_unavailable"


@pytest.mark.parametrize("path", ["", "/tags", "/images"])
@pytest.mark.parametrize("told", [b"<html>sign in</html>", b"\xff", {"a": 1}, ["x"], [{}], "x", 1])
def test_what_is_no_custom_vision_is_said(
    azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, told: object
) -> None:
    """A proxy's page to sign in answers 200, too."""
    answer = azure.answer

    def other(asked: str, query: dict[str, list[str]], key: str | None) -> tuple[int, Any]:
        meant = asked.endswith(f"{PROJECT}{path}")
        return (200, told) if meant else answer(asked, query, key)

    monkeypatch.setattr(azure, "answer", other)
    with pytest.raises(HeadstartError, match=r"127\.0\.0\.1 does not answer as Custom Vision"):
        pull(azure, tmp_path / "project.zip")
