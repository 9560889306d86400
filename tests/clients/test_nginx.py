"""The service behind nginx, as docs/deployment says: every client's way through it, errors too."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from playwright.sync_api import Browser

from app.infra.settings import MIB, Settings
from tests.clients.conftest import Running
from tests.clients.nginx import SHIPPED, Nginx, in_front_of
from tests.e2e.conftest import Service
from tests.e2e.console.conftest import chromium, opened
from tests.servers import wait_for

__all__ = ["chromium"]

WAYS = ("own", "below", "stripped", "held", "usual")
SHIPPED_WAYS = ("own", "below", "stripped", "held")
ROWS = [f"where is parcel {n},delivery\nrefund invoice {n},billing" for n in range(8)]
MAILS = "\n".join(["text,label", *ROWS]).encode()
ASKED: ChatCompletionUserMessageParam = {"role": "user", "content": "where is my parcel"}
CLIENT = "127.0.0.9"
"""A client's address: none of those whose word is taken."""


@pytest.fixture(scope="module")
def nginx(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with in_front_of(running.url, tmp_path_factory.mktemp("nginx")) as made:
        yield made


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, nginx: Nginx, running: Running) -> Iterator[httpx.Client]:
    with nginx.client(getattr(nginx, request.param), running.key) as client:
        yield client


@pytest.fixture
def caller(nginx: Nginx, running: Running) -> Iterator[httpx.Client]:
    """By TLS, as it ships."""
    with nginx.client(nginx.own, running.key) as client:
        yield client


def large() -> bytes:
    """A table above nginx's own limit of 1 MiB and every buffer of it, of texts of few tokens: what
    follows need not wait until an encoder has read minutes of them.
    """
    rows = [f"{n} {'word' * 500},{'ab'[n % 2]}" for n in range(1200)]
    return "\n".join(["text,label", *rows]).encode()


def queued(client: httpx.Client) -> str:
    """A job that waits until it is resumed or cancelled."""
    made = client.post("/v1/datasets", files={"file": ("mails.csv", MAILS)})
    job = client.post(
        "/v1/fine_tuning/jobs",
        json={"model": "all-MiniLM-L6-v2", "training_file": made.json()["id"]},
    )
    assert job.status_code == 202, job.text
    paused = client.post(f"/v1/fine_tuning/jobs/{job.json()['id']}/pause")
    assert paused.status_code == 200, paused.text
    return str(job.json()["id"])


@pytest.fixture(scope="module")
def model(nginx: Nginx, running: Running) -> str:
    """Fine-tuned with the openai package, below a prefix."""
    with OpenAI(base_url=f"{nginx.below}/v1", api_key=running.key, max_retries=0) as client:
        file = client.files.create(file=("mails.csv", MAILS), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model="all-MiniLM-L6-v2", training_file=file.id)
        ended = wait_for(
            lambda: (now := client.fine_tuning.jobs.retrieve(job.id)).finished_at and now,
            seconds=120,
        )
        assert ended.status == "succeeded", ended.error
        messages = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
    assert "Job succeeded" in messages
    return str(ended.fine_tuned_model)


@pytest.mark.parametrize("name", SHIPPED_WAYS)
def test_the_openai_package_asks_by_every_way(
    name: str, nginx: Nginx, running: Running, model: str
) -> None:
    http = openai.DefaultHttpxClient(verify=nginx.trust)
    url = f"{getattr(nginx, name)}/v1"
    with OpenAI(base_url=url, api_key=running.key, max_retries=0, http_client=http) as client:
        told = client.chat.completions.create(model=model, messages=[ASKED])
        streamed = client.chat.completions.create(model=model, messages=[ASKED], stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
        with pytest.raises(openai.NotFoundError) as refused:
            client.models.retrieve("nothing")
    assert told.choices[0].message.content == text == "delivery"
    assert refused.value.code == "not_found"


def test_events_arrive_as_they_happen(way: httpx.Client) -> None:
    """A proxy that held them back would give none before the job has ended."""
    job = f"/v1/fine_tuning/jobs/{queued(way)}"
    headers = {"Accept": "text/event-stream"}
    with way.stream("GET", f"{job}/events", headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        assert "data: " in next(line for line in lines if line.startswith("data"))
        assert way.get(job).json()["status"] == "paused"
        assert way.post(f"{job}/cancel").status_code == 200
        assert [line for line in lines if line][-2:] == ["event: done", "data: [DONE]"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", SHIPPED_WAYS)
def test_large_uploads_pass(name: str, chunked: bool, nginx: Nginx, running: Running) -> None:
    body = large()
    assert len(body) > 2 * MIB
    with nginx.client(getattr(nginx, name), running.key) as client:
        made = client.post(
            "/v1/datasets",
            params={"filename": "large.csv"},
            headers={"content-type": "text/csv"},
            content=iter([body[:MIB], body[MIB:]]) if chunked else body,
        )
        assert made.status_code == 201, made.text
        assert made.json()["num_examples"] == 1200
        place = urljoin(str(client.base_url), made.headers["location"])
        assert place.startswith(getattr(nginx, name))
        assert client.get(place).json()["id"] == made.json()["id"]


@pytest.mark.parametrize("name", SHIPPED_WAYS)
def test_a_refusal_reaches_who_still_sends(name: str, nginx: Nginx, running: Running) -> None:
    huge = b"x" * (8 * MIB)
    with nginx.client(getattr(nginx, name), "hs_wrong") as client:
        stranger = client.post("/v1/datasets", content=iter([huge, huge]))
    with nginx.client(getattr(nginx, name), running.key) as client:
        tall = client.post("/v1/fine_tuning/jobs", content=huge)
        assert client.get("/v1/me").status_code == 200
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
    assert (tall.status_code, tall.json()["code"]) == (413, "payload_too_large")
    assert tall.headers["content-type"] == "application/problem+json"


def test_nginx_tells_who_asks_and_a_client_cannot(nginx: Nginx, running: Running) -> None:
    """What a client says of itself is not taken: neither its address nor where it found us."""
    lies = {
        "Forwarded": "for=6.6.6.6;host=evil.example.com;proto=ftp",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Prefix": "/evil",
    }
    for name in ("own", "below"):
        with nginx.client(getattr(nginx, name), running.key, local=CLIENT) as client:
            made = client.post("/v1/datasets", files={"file": ("a.csv", MAILS)}, headers=lies)
            deed = client.get("/v1/audit-log", params={"limit": 1}).json()["data"][0]
        assert deed["object_id"] == made.json()["id"]
        assert deed["address"] == CLIENT
        prefix = urlsplit(getattr(nginx, name)).path
        assert made.headers["location"].startswith(f"{prefix}/v1/datasets/")


@pytest.mark.parametrize("name", ["own", "below", "stripped"])
def test_the_document_and_every_file_of_the_console_are_found(
    name: str, nginx: Nginx, running: Running
) -> None:
    base = getattr(nginx, name)
    with nginx.client(base, running.key) as client:
        for home in ("/", "/docs"):
            page = client.get(home)
            links = re.findall(r'(?:src|href)="([^"#:]+)"', page.text)
            assert len(links) >= 3
            for link in links:
                found = client.get(urljoin(str(page.url), link))
                assert found.status_code == 200, (home, link)
        servers = client.get("/openapi.json").json()["servers"]
    assert [urljoin(f"{base}/openapi.json", one["url"]).rstrip("/") for one in servers] == [base]


def test_the_prefix_alone_is_the_console(nginx: Nginx) -> None:
    bare = httpx.get(nginx.below, follow_redirects=True)
    assert bare.status_code == 200
    assert str(bare.url) == f"{nginx.below}/"


def test_answers_are_compressed_and_still_revalidated(caller: httpx.Client) -> None:
    document = caller.get("/openapi.json")
    style = caller.get("/console/console.css")
    again = caller.get("/console/console.css", headers={"If-None-Match": style.headers["etag"]})
    assert document.headers["content-encoding"] == style.headers["content-encoding"] == "gzip"
    assert document.json()["info"]["title"] == "Headstart"
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing"])
def test_http_2_is_spoken(path: str, nginx: Nginx, running: Running) -> None:
    key = f"Authorization: Bearer {running.key}"
    command = ["curl", "-s", "--http2", "--cacert", str(nginx.certificate), f"{nginx.own}{path}"]
    told = ["-H", key, "-w", "\n%{http_version} %{http_code}"]
    said = subprocess.check_output([*command, *told], text=True, timeout=300)
    body, _, status = said.rpartition("\n")
    assert status == ("2 200" if path == "/v1/models" else "2 404")
    assert json.loads(body)


def connections(url: str) -> set[int]:
    """Ports that are, or lately were, connected to the service."""
    port = urlsplit(url).port
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    pairs = [[int(end.rpartition(":")[2], 16) for end in line.split()[1:3]] for line in lines]
    return {near for near, far in pairs if far == port}


def test_connections_to_the_service_are_kept(caller: httpx.Client, running: Running) -> None:
    assert caller.get("/livez").status_code == 200
    before = connections(running.url)
    for _ in range(30):
        assert caller.get("/v1/models").status_code == 200
    assert len(connections(running.url) - before) <= 1


def test_nginx_gives_up_kept_connections_first() -> None:
    """Else a request could meet one that the service is closing, and be answered 502."""
    shipped = (SHIPPED / "nginx.conf").read_text()
    theirs = re.search(r"nginx closes them after (\d+) s", shipped)
    assert theirs is not None
    assert "keepalive_timeout" not in shipped, "60 s is nginx's own"
    assert int(theirs[1]) == 60 < Settings().keep_alive_seconds


def test_who_leaves_takes_the_request_along(caller: httpx.Client, nginx: Nginx) -> None:
    """An aborted upload leaves nothing, an aborted stream is counted as over."""
    before = caller.get("/v1/datasets").json()["data"][0]["id"]
    url = urlsplit(nginx.below)
    with socket.create_connection((url.hostname or "", url.port or 0)) as sending:
        head = (
            f"POST {url.path}/v1/datasets?filename=a.csv HTTP/1.1\r\nhost: a\r\n"
            f"authorization: {caller.headers['authorization']}\r\n"
            f"content-type: text/csv\r\ncontent-length: {len(MAILS) + 9000}\r\n\r\n"
        )
        sending.sendall(head.encode() + MAILS)
    job = queued(caller)
    path = f"/v1/fine_tuning/jobs/{job}/events"
    streams = finished(caller)
    with caller.stream("GET", path, headers={"Accept": "text/event-stream"}) as stream:
        next(stream.iter_lines())
    wait_for(lambda: finished(caller) > streams)
    assert caller.post(f"/v1/fine_tuning/jobs/{job}/cancel").status_code == 200
    newest = caller.get("/v1/datasets", params={"limit": 2}).json()["data"]
    assert newest[1]["id"] == before, "only the job's own was made"


def finished(client: httpx.Client) -> float:
    """How many requests for a job's events are over."""
    told = client.get("/metrics").text
    counts = re.findall(
        r'headstart_http_seconds_count\{[^}]*route="[^"]*/events"[^}]*\} ([0-9.]+)', told
    )
    return sum(map(float, counts))


@pytest.mark.parametrize("name", ["own", "below"])
def test_the_command_line_works_through_it(
    name: str, nginx: Nginx, running: Running, model: str, tmp_path: Path
) -> None:
    (tmp_path / "mails.csv").write_bytes(MAILS)
    pushed = headstart(nginx, name, running.key, "datasets", "push", str(tmp_path / "mails.csv"))
    assert "16 examples of 2 classes" in pushed
    assert model in headstart(nginx, name, running.key, "models", "--json")
    (tmp_path / "asked.txt").write_text("where is my parcel")
    told = headstart(nginx, name, running.key, "predict", model, str(tmp_path / "asked.txt"))
    assert "delivery" in told


def test_the_command_line_says_which_limit_refused(
    nginx: Nginx, running: Running, tmp_path: Path
) -> None:
    """The proxy's own page says nothing of a setting."""
    (tmp_path / "large.csv").write_bytes(large())
    told = headstart(
        nginx, "usual", running.key, "datasets", "push", str(tmp_path / "large.csv"), status=1
    )
    assert "client_max_body_size" in told


def test_an_unknown_certificate_is_told(nginx: Nginx, running: Running, tmp_path: Path) -> None:
    told = headstart(nginx, "own", running.key, "models", status=3, SSL_CERT_FILE="")
    assert "certificate verify failed" in told.lower()
    nowhere = str(tmp_path / "none.pem")
    told = headstart(nginx, "own", running.key, "models", status=1, SSL_CERT_FILE=nowhere)
    assert f"SSL_CERT_FILE={nowhere}" in told


def test_the_console_works_below_a_prefix(
    chromium: Browser, nginx: Nginx, running: Running, model: str
) -> None:
    service = Service("embedded", nginx.below, running.key, Path())
    for watched in opened(chromium, service):
        watched.sign_in(running.key)
        watched.open("/models")
        watched.page.get_by_role("link", name=re.compile("mails|all-MiniLM")).first.wait_for()


def headstart(
    nginx: Nginx, name: str, key: str, *words: str, status: int = 0, **environment: str
) -> str:
    """What a command prints."""
    told = {
        "HEADSTART_URL": getattr(nginx, name),
        "HEADSTART_API_KEY": key,
        "SSL_CERT_FILE": str(nginx.certificate),
        "COLUMNS": "300",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=os.environ | told | environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
