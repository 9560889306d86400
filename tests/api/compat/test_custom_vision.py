"""Custom Vision's routes by hand: spellings, keys, other organisations, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.service import Service
from tests.factories import make_key

pytestmark = pytest.mark.slow

PNG, LABEL = kit.digit_pngs(1, skip=30)[0]
ANY = UUID(int=0)
TRAINING = "/customvision/v3.3/training/projects"
UPPER = f"/customvision/v3.0/Prediction/{ANY}/classify/iterations/default/Image"
FORM = b'--b\r\nContent-Disposition: form-data; name="imageData"\r\n\r\n%b\r\n--b--\r\n' % PNG


@pytest.mark.parametrize(
    ("body", "kind"),
    [(FORM, "multipart/form-data; boundary=b"), (PNG, "application/octet-stream")],
)
@pytest.mark.parametrize("rest", ["", "/nostore", "/NoStore"])
def test_any_alias_is_published_in_the_project_of_all(
    anonymous: httpx.Client, key: str, words: str, body: bytes, kind: str, rest: str
) -> None:
    headers = {"Prediction-Key": key, "content-type": kind}
    answer = anonymous.post(UPPER + rest, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert set(told) == {"id", "project", "iteration", "created", "predictions"}
    assert told["predictions"][0]["tagName"] == LABEL
    assert UUID(told["predictions"][0]["tagId"])


@pytest.mark.parametrize("version", ["v3.0", "v3.1"])
@pytest.mark.parametrize("spelled", [str, quote_plus])
def test_so_is_every_alias_with_a_stage_and_every_model_id(
    client: httpx.Client, words: str, version: str, spelled: Callable[[str], str]
) -> None:
    model = client.get("/v1/aliases/default").json()["model"]
    client.put("/v1/aliases/cells@production", json={"model": model}).raise_for_status()
    for name in ("cells@production", model):
        path = UPPER.replace("v3.0", version).replace("default", spelled(name))
        for rest in ("", "/nostore"):
            answer = client.post(path + rest, content=PNG)
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"][0]["tagName"] == LABEL
        url = client.post(path.replace("Image", "url"), json={"url": "http://127.0.0.1/a.png"})
        assert url.json()["code"] == "BadRequestImageUrl", url.text
    other = client.post(
        UPPER.replace(str(ANY), str(uuid4())).replace("default", "a@b"), content=PNG
    )
    assert (other.status_code, other.json()["code"]) == (422, "BadRequest")


def test_errors_have_its_code_and_ours(
    anonymous: httpx.Client, client: httpx.Client, service: Service, words: str
) -> None:
    assert anonymous.post(UPPER, content=PNG).json()["code"] == "Unauthorized"
    gone = client.post(UPPER.replace(str(ANY), str(uuid4())), content=PNG)
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFoundIteration")
    assert gone.json()["type"] == "urn:headstart:problem:not_found"
    texts = client.post(UPPER.replace("default", words), content=PNG)
    assert (texts.status_code, texts.json()["code"]) == (422, "BadRequest")
    bad = client.post(UPPER, content=b"no image", headers={"content-type": "image/png"})
    assert bad.json()["code"] == "BadRequestImageFormat"
    reader = make_key(service.services.sessions, scopes=["read"])
    refused = anonymous.post(UPPER, content=PNG, headers={"prediction-key": reader})
    assert refused.status_code == 403


def test_the_road_by_address_does_not_lead_inside(client: httpx.Client, words: str) -> None:
    for url in ("http://127.0.0.1/a.png", "http://[::1]/", "file:///etc/passwd", "http://10.1/"):
        answer = client.post(UPPER.replace("Image", "url"), json={"Url": url, "url": url})
        assert (answer.status_code, answer.json()["code"]) == (422, "BadRequestImageUrl"), url


def test_a_project_is_its_organisations_alone(
    client: httpx.Client, other_client: httpx.Client
) -> None:
    project = client.post(TRAINING, params={"name": "mine"}).json()["id"]
    tag = client.post(f"{TRAINING}/{project}/tags", params={"name": "cat"}).json()["id"]
    assert [one["name"] for one in client.get(f"{TRAINING}/{project}/tags").json()] == ["cat"]
    assert other_client.get(TRAINING).json() == []
    for method, rest in (
        ("GET", ""), ("DELETE", ""), ("GET", "/tags"), ("GET", f"/tags/{tag}"),
        ("DELETE", f"/tags/{tag}"), ("POST", "/train"), ("GET", "/iterations"),
        ("GET", f"/iterations/{uuid4()}"), ("GET", "/images"), ("GET", "/images/tagged/count"),
        ("GET", "/images/untagged/count"),
        ("POST", f"/images?tagIds={tag}"), ("POST", "/quicktest/image"),
    ):  # fmt: skip
        content = PNG if "image" in rest and method == "POST" else None
        answer = other_client.request(method, f"{TRAINING}/{project}{rest}", content=content)
        assert answer.status_code == 404, (method, rest, answer.text)
    assert client.get(f"{TRAINING}/{project.upper()}").json()["name"] == "mine"


@pytest.mark.parametrize(
    "params",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"name": "x", "classificationType": "Detection"},
        {"name": "x", "domainId": str(uuid4())},
        {"name": "x", "domainId": "da2e3a8a-40a5-4171-82f4-58522f70fbc1"},
        {"name": "x", "nmae": "y"},
    ],
)
def test_a_project_that_cannot_be_is_refused(client: httpx.Client, params: dict[str, str]) -> None:
    answer = client.post(TRAINING, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "BadRequest")
    assert answer.json()["message"]


def test_a_key_that_may_only_read_changes_nothing(service: Service) -> None:
    reader = make_key(service.services.sessions, scopes=["read"])
    with service.client(reader) as caller:
        assert caller.post(TRAINING, params={"name": "x"}).status_code == 403
        assert caller.get(TRAINING).status_code == 200
