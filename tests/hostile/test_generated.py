"""Archives, pictures, tables and documents that Hypothesis makes up: none is worse than refused.

Every answer is a success or a problem with a code of the table, no 5xx, and what is refused leaves
no row and no file.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import TITLES
from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.api.uploading import leftovers, rows, send
from tests.archives import Raw, folders, picture, png, raw_zip, tarred, zipped
from tests.factories import make_key, migrated
from tests.hostile.operations import Operation, operations

few = settings(max_examples=40, deadline=None, database=None)
GOOD = folders({"a": 2, "b": 2})
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    migrated(folder)
    with serve(Settings(data_dir=folder)) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client(make_key(service.services.sessions)) as found:
        yield found


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them changed, cut out, doubled or cut off."""
    places = st.integers(0, max(0, len(data) - 1))
    change = st.tuples(
        st.sampled_from(["set", "cut", "double", "end"]), places, st.binary(max_size=8)
    )

    def applied(changes: list[tuple[str, int, bytes]]) -> bytes:
        made = bytearray(data)
        for kind, at, some in changes:
            if kind == "set":
                made[at : at + len(some)] = some
            elif kind == "cut":
                del made[at : at + 1 + len(some)]
            elif kind == "double":
                made[at:at] = made[at : at + 64]
            else:
                del made[at:]
        return bytes(made)

    return st.lists(change, max_size=4).map(applied)


NAMES = st.one_of(
    st.text(max_size=30).map(lambda text: f"a/{text}.png"),
    st.binary(min_size=1, max_size=20),
    st.sampled_from(["a/", "/", "", "..", "a/../b.png", "a//b.png", "__MACOSX/a/x", "a/./x.png"]),
    st.sampled_from([f"a/{name}.png" for name in ("CON", "x" * 300, "x\n", "~", "é", "e\u0301")]),
).map(lambda name: name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name)
SIZES = st.one_of(st.none(), st.integers(0, 2**32 - 1))
MEMBERS = st.builds(
    Raw,
    name=NAMES,
    data=st.one_of(st.just(png(7)), st.binary(max_size=200), damaged(png(9))),
    method=st.sampled_from([0, 8, 9, 12, 14, 99]),
    flags=st.sampled_from([0, 0x800, 1, 8, 0x2000, 0xFFFF]),
    told_size=SIZES,
    told_crc=SIZES,
    local_size=SIZES,
    mode=st.sampled_from([0o100644, 0o120777, 0o040755, 0o010644, 0, 0o177777]),
    at=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    extra=st.binary(max_size=40),
)
ZIPS = st.builds(
    lambda members, count: raw_zip(
        [*(Raw(name, data) for name, data in GOOD.items()), *members], count=count
    ),
    st.lists(MEMBERS, max_size=3),
    st.one_of(st.none(), st.integers(0, 70_000)),
)
ARCHIVES = st.one_of(
    ZIPS,
    damaged(zipped(GOOD)),
    damaged(tarred(GOOD)),
    damaged(tarred(GOOD, "w:gz")),
    damaged(tarred(GOOD, "w:xz")),
    st.binary(max_size=300),
)


def tar_of(name: str, kind: bytes, size: int, headers: dict[str, str]) -> bytes:
    """A tar of good pictures and one entry that says what it likes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in GOOD.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        odd = tarfile.TarInfo(name)
        odd.type, odd.size, odd.pax_headers = kind, 0, headers
        archive.addfile(odd)
    return out.getvalue()


TARS = st.builds(
    tar_of,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120),
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, b"S", b"K", b"x", b"?"]),
    st.integers(0, 2**33),
    st.dictionaries(
        st.sampled_from(["path", "size", "GNU.sparse.size", "linkpath", "comment"]),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        max_size=2,
    ),
)
PICTURES = st.sampled_from(KINDS).flatmap(lambda kind: damaged(picture(kind, seed=9)))
CELLS = st.text(st.characters(codec="utf-8"), max_size=12)
CSVS = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6).map(
    lambda lines: "\n".join(["text,label", *(",".join(line) for line in lines)]).encode()
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["text", "label", "labels", "group", "x"]), VALUES)
JSONLS = st.lists(OBJECTS, max_size=5).map(
    lambda objects: "\n".join(json.dumps(one) for one in objects).encode()
)
GOOD_CSV = b"text,label\none,a\ntwo,b\nthree,a\n"
TABLES = st.one_of(
    st.tuples(st.just("t.csv"), CSVS),
    st.tuples(st.just("t.csv"), damaged(GOOD_CSV)),
    st.tuples(st.just("t.tsv"), damaged(GOOD_CSV.replace(b",", b"\t"))),
    st.tuples(st.just("t.jsonl"), JSONLS),
    st.tuples(st.just("t.json"), VALUES.map(lambda value: json.dumps(value).encode())),
    st.tuples(st.sampled_from(["t.parquet", "t.xlsx", "t.csv.gz"]), st.binary(max_size=200)),
)


def checked(answer: httpx.Response) -> bool:
    """Whether it is a success; what is none is a problem that says what is wrong."""
    if answer.is_success:
        return True
    assert 400 <= answer.status_code < 500, answer.text
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert told["code"] in TITLES
    assert told["message"]
    assert told["status"] == answer.status_code
    return False


def uploaded(service: Service, client: httpx.Client, data: bytes, filename: str) -> None:
    """Send it; what is refused leaves nothing, what is taken is deleted."""
    before = rows(service), leftovers(service)
    answer = send(client, data, filename=filename)
    if checked(answer):
        client.delete(f"/v1/datasets/{answer.json()['id']}").raise_for_status()
        return
    assert rows(service) == before[0]
    assert set(leftovers(service)) <= set(before[1])


@few
@given(data=ARCHIVES)
def test_archives(service: Service, client: httpx.Client, data: bytes) -> None:
    uploaded(service, client, data, "set.zip")


@few
@given(data=TARS)
def test_tars(service: Service, client: httpx.Client, data: bytes) -> None:
    uploaded(service, client, data, "set.tar")


@few
@given(data=PICTURES, suffix=st.sampled_from(["png", "jpg", "tif", "webp", "gif"]))
def test_pictures(service: Service, client: httpx.Client, data: bytes, suffix: str) -> None:
    uploaded(service, client, zipped(GOOD | {f"a/odd.{suffix}": data}), "set.zip")


@few
@given(table=TABLES)
def test_tables(service: Service, client: httpx.Client, table: tuple[str, bytes]) -> None:
    uploaded(service, client, table[1], table[0])


@pytest.fixture(scope="module")
def documents(client: httpx.Client) -> list[Operation]:
    """Operations that take JSON."""
    found = operations(client.get("/openapi.json").json())
    return [one for one in found if "json" in one.sends]


def mutated(body: Any, path: list[int], value: Any) -> Any:
    """The document with `value` in place of whatever `path` leads to."""
    if not path or not isinstance(body, dict | list) or not body:
        return value
    names = sorted(body) if isinstance(body, dict) else list(range(len(body)))
    name = names[path[0] % len(names)]
    made = dict(body) if isinstance(body, dict) else list(body)
    made[name] = mutated(body[name], path[1:], value)  # type: ignore[index]
    return made


@settings(max_examples=150, deadline=None, database=None)
@given(
    which=st.integers(0, 10_000),
    path=st.lists(st.integers(0, 20), max_size=4),
    value=st.one_of(
        VALUES, st.sampled_from(["\0", "\ud800", "x" * 5000, 2**64, -1, "../x", "ds_"])
    ),
)
def test_documents(
    client: httpx.Client, documents: list[Operation], which: int, path: list[int], value: Any
) -> None:
    """Any JSON in place of any part of any operation's example; predictions have no predictor."""
    one = documents[which % len(documents)]
    body = mutated(one.sends["json"], path, value)
    sent = {name: told for name, told in one.sends.items() if name != "json"}
    headers = {"content-type": "application/json"}
    answer = client.request(
        one.method, one.at({}), content=json.dumps(body).encode(), headers=headers, **sent
    )
    if answer.status_code == 503:
        assert "predictor_unavailable" in answer.text, (str(one), body)
        return
    assert answer.status_code < 500, (str(one), body, answer.text)
    if not answer.is_success:
        assert "json" in answer.headers["content-type"], (str(one), body)
