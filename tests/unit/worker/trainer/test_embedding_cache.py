"""The embedding cache on real files and a real database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from app.infra.orm import SegmentRow
from app.infra.repositories import datasets, embeddings, usage
from app.infra.storage import DamagedError, LocalStorage
from tests.worker_kit import Kit
from worker.formats import segments as segment_file
from worker.trainer.embedding_cache import MANY, MOST_BYTES, SMALL_BYTES, EmbeddingCache, Scope

SCOPE = Scope(organisation_id="acme", key="k1")


@pytest.fixture
def cache(kit: Kit) -> EmbeddingCache:
    return EmbeddingCache(kit.sessions, kit.storage, quota=10_000)


def rows(*numbers: float) -> segment_file.Rows:
    return np.array([[number] * 4 for number in numbers], np.float16)


def add(kit: Kit, cache: EmbeddingCache, contents: dict[str, float], scope: Scope = SCOPE) -> str:
    kit.settings.data_dir.joinpath("staging").mkdir(exist_ok=True)
    file = kit.settings.data_dir / "staging" / "segment.npy"
    segment_file.save(file, rows(*contents.values()))
    segment = cache.put(scope, file, list(contents))
    kit.commit(lambda session: cache.index(session, segment))
    return segment.id


def read(cache: EmbeddingCache, *sha256s: str, scope: Scope = SCOPE) -> list[float]:
    places = cache.find(scope, sha256s)
    paths = cache.locate(scope, places)
    return [
        float(segment_file.load(paths[places[s][0]])[places[s][1]][0])
        for s in sha256s
        if s in places
    ]


def segments(kit: Kit) -> list[SegmentRow]:
    return kit.read(lambda session: list(session.scalars(select(SegmentRow))))


def test_what_was_put_is_found_by_content(kit: Kit, cache: EmbeddingCache) -> None:
    add(kit, cache, {"a": 1, "b": 2})
    add(kit, cache, {"c": 3})
    assert read(cache, "c", "a", "unknown", "b") == [3, 1, 2]


def test_scopes_are_strangers(kit: Kit, cache: EmbeddingCache) -> None:
    add(kit, cache, {"a": 1})
    assert read(cache, "a", scope=Scope(organisation_id="rival", key="k1")) == []
    assert read(cache, "a", scope=Scope(organisation_id="acme", key="k2")) == []


def test_the_first_embedding_of_a_content_stays(kit: Kit, cache: EmbeddingCache) -> None:
    add(kit, cache, {"a": 1, "b": 2})
    add(kit, cache, {"b": 9, "c": 3})
    assert read(cache, "a", "b", "c") == [1, 2, 3]


def test_a_lost_file_is_forgotten(kit: Kit, cache: EmbeddingCache) -> None:
    lost = add(kit, cache, {"a": 1})
    add(kit, cache, {"b": 2})
    kit.storage.delete(SCOPE.file(lost))
    places = cache.find(SCOPE, ["a", "b"])
    cache.locate(SCOPE, places)
    assert set(places) == {"b"}
    assert set(cache.find(SCOPE, ["a", "b"])) == {"b"}
    assert len(segments(kit)) == 1


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def exchanged(data: bytes) -> bytes:
    """The last two rows in another order: what they hold is whole."""
    return data[:-16] + data[-8:] + data[-16:-8]


@pytest.mark.parametrize("damage", [flipped, exchanged, lambda data: data[:-4], lambda _: b"PK"])
@pytest.mark.parametrize("known", [True, False], ids=["hashed", "of before"])
def test_a_damaged_file_is_forgotten_as_a_lost_one_is(
    kit: Kit, cache: EmbeddingCache, known: bool, damage: Callable[[bytes], bytes]
) -> None:
    damaged = add(kit, cache, {"a": 1, "c": 3})
    add(kit, cache, {"b": 2})
    if not known:
        kit.commit(lambda session: session.execute(update(SegmentRow).values(sha256=None)))
    path = kit.storage.fetch(SCOPE.file(damaged))
    path.write_bytes(damage(path.read_bytes()))
    readable = not known and damage in (flipped, exchanged)  # of before: nothing tells
    places = cache.find(SCOPE, ["a", "b", "c"])
    cache.locate(SCOPE, places)
    assert set(places) == set(cache.find(SCOPE, ["a", "b", "c"]))
    assert ("a" in places, "b" in places) == (readable, True)


def test_what_a_store_answers_wrongly_is_forgotten_too(
    kit: Kit, cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(kit, cache, {"a": 1})

    def wrong(key: str) -> Path:
        raise DamagedError(key, retry_after=1)

    monkeypatch.setattr(kit.storage, "fetch", wrong)
    places = cache.find(SCOPE, ["a"])
    assert cache.locate(SCOPE, places) == {}
    assert cache.find(SCOPE, ["a"]) == {}


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-4]])
def test_a_damaged_file_keeps_no_other_from_being_rewritten(
    kit: Kit, cache: EmbeddingCache, damage: Callable[[bytes], bytes]
) -> None:
    folder = kit.settings.data_dir / "staging"
    ids = [add(kit, cache, {f"{part} {one}": one for one in range(3)}) for part in range(2)]
    kit.commit(lambda session: embeddings.wear(session, ids))
    kit.commit(lambda session: session.execute(update(SegmentRow).values(sha256=None)))
    path = kit.storage.fetch(SCOPE.file(ids[0]))
    path.write_bytes(damage(path.read_bytes()))
    while cache.compact(folder):
        pass
    assert not [one for one in segments(kit) if one.worn_at is not None]
    assert read(cache, "1 0", "1 1", "1 2") == [0, 1, 2]


def test_the_least_recently_used_make_way(kit: Kit, cache: EmbeddingCache) -> None:
    ids = [add(kit, cache, {f"{part} {i}": i for i in range(300)}) for part in range(4)]
    for age, segment_id in enumerate(ids):
        used = update(SegmentRow).where(SegmentRow.id == segment_id).values(last_used_at=age)
        kit.commit(lambda session, statement=used: session.execute(statement))
    kit.commit(lambda session: embeddings.touch(session, [ids[0]]))
    assert cache.evict() > 0
    assert {segment.id for segment in segments(kit)} == {ids[0], ids[2], ids[3]}
    assert len(list(kit.storage.keys("embeddings"))) == 3
    assert cache.evict() == 0


def test_who_embeds_much_makes_way_for_itself(kit: Kit, cache: EmbeddingCache) -> None:
    quiet = Scope(organisation_id="quiet", key="k1")
    small = add(kit, cache, {"q": 1}, quiet)
    for part in range(5):
        add(kit, cache, {f"{part} {i}": i for i in range(300)})
    assert cache.evict() > 0
    assert small in {segment.id for segment in segments(kit)}
    assert read(cache, "q", scope=quiet) == [1]


def test_small_segments_are_merged_without_their_dead_rows(
    kit: Kit, cache: EmbeddingCache, tmp_path: Path
) -> None:
    for number in range(MANY):
        add(kit, cache, {f"s{number}": number, "shared": 500})
    assert cache.compact(kit.settings.data_dir / "staging") == MANY - 1
    assert len(segments(kit)) == 2
    assert len(list(kit.storage.keys("embeddings"))) == 2
    assert read(cache, *[f"s{n}" for n in range(MANY)], "shared") == [*range(MANY), 500]
    stored = [segment_file.load(kit.storage.fetch(SCOPE.file(one.id))) for one in segments(kit)]
    assert sum(len(rows) for rows in stored) == MANY + 1
    assert cache.compact(kit.settings.data_dir / "staging") == 0


def test_few_segments_are_left_alone(kit: Kit, cache: EmbeddingCache) -> None:
    add(kit, cache, {"a": 1})
    assert cache.compact(kit.settings.data_dir / "staging") == 0


def test_large_numbers_of_contents_are_found(kit: Kit, cache: EmbeddingCache) -> None:
    add(kit, cache, {f"x{number}": number % 100 for number in range(5000)})
    assert len(cache.find(SCOPE, [f"x{number}" for number in range(6000)])) == 5000


def test_half_floats_do_not_overflow(tmp_path: Path) -> None:
    halved = segment_file.halved(np.array([1e6, -1e6, 0.5], np.float32))
    assert np.isfinite(halved).all()
    segment_file.save(tmp_path / "x.npy", halved[None])
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), halved[None])


def noise(*numbers: int, width: int) -> segment_file.Rows:
    """Rows that nobody else has: a search for their bytes finds nothing else."""
    found = [np.random.default_rng(number).normal(size=width) for number in numbers]
    return np.array(found, np.float16)


def add_noise(kit: Kit, cache: EmbeddingCache, numbers: list[int], *, width: int) -> None:
    file = kit.settings.data_dir / "segment.npy"
    segment_file.save(file, noise(*numbers, width=width))
    segment = cache.put(SCOPE, file, [f"n{number}" for number in numbers])
    kit.commit(lambda session: cache.index(session, segment))


def on_disk(kit: Kit, number: int, *, width: int) -> int:
    """How often a row's bytes are in any file of the data folder."""
    wanted = noise(number, width=width)[0].tobytes()
    files = [path for path in kit.settings.data_dir.rglob("*") if path.is_file()]
    return sum(path.read_bytes().count(wanted) for path in files)


def rewrite(kit: Kit, cache: EmbeddingCache) -> None:
    while cache.compact(kit.settings.data_dir / "staging"):
        pass


@pytest.mark.parametrize("width", [64, SMALL_BYTES // 8])
def test_of_deleted_contents_no_byte_stays(kit: Kit, cache: EmbeddingCache, width: int) -> None:
    """However large the segment, and in however many one content was embedded at once."""
    add_noise(kit, cache, [1, 2, 3, 4, 5], width=width)
    add_noise(kit, cache, [2, 6], width=width)
    assert [on_disk(kit, n, width=width) for n in (1, 2, 3)] == [1, 2, 1]
    for gone in ("n2", "n5"):
        kit.commit(lambda s, c=gone: datasets.forget_embeddings(s, [c], organisation_id="acme"))
    rewrite(kit, cache)
    assert [on_disk(kit, n, width=width) for n in range(1, 7)] == [1, 0, 1, 1, 0, 1]
    places = cache.find(SCOPE, [f"n{n}" for n in range(1, 7)])
    assert sorted(places) == ["n1", "n3", "n4", "n6"]
    paths = cache.locate(SCOPE, places)
    for name, (segment, row) in places.items():
        stored = segment_file.load(paths[segment])[row]
        np.testing.assert_array_equal(stored, noise(int(name[1:]), width=width)[0])


def test_what_is_embedded_is_counted_once_and_not_when_it_is_rewritten(
    kit: Kit, cache: EmbeddingCache
) -> None:
    add_noise(kit, cache, [1, 2, 3, 4, 5], width=64)
    add_noise(kit, cache, [6, 7], width=64)
    kit.commit(lambda session: datasets.forget_embeddings(session, ["n2"], organisation_id="acme"))
    rewrite(kit, cache)
    period = usage.Period(0, 10**6)
    told = kit.read(lambda session: usage.by_day(session, period, organisation_id="acme"))
    assert [row[1:] for row in told] == [("embedded_images", "", 7.0)]


def test_a_segment_that_is_whole_is_looked_at_once_and_kept(
    kit: Kit, cache: EmbeddingCache
) -> None:
    """As all are that were stored before anybody noted which are worn."""
    first = add(kit, cache, {"a": 1, "b": 2})
    kit.commit(lambda session: session.execute(update(SegmentRow).values(worn_at=1.0)))
    rewrite(kit, cache)
    assert [(one.id, one.worn_at) for one in segments(kit)] == [(first, None)]
    kit.commit(lambda s: datasets.forget_embeddings(s, ["a"], organisation_id="acme"))
    rewrite(kit, cache)
    assert first not in [one.id for one in segments(kit)]
    assert read(cache, "b") == [2]


class Interrupted(LocalStorage):
    """A storage where something else happens right after a file was put."""

    def __init__(self, root: Path, then: Callable[[], object]) -> None:
        super().__init__(root)
        self._then = then

    def put(self, key: str, source: Path) -> None:
        super().put(key, source)
        self._then()


def interrupted(kit: Kit, then: Callable[[], object]) -> EmbeddingCache:
    storage = Interrupted(kit.settings.data_dir / "storage", then)
    return EmbeddingCache(kit.sessions, storage, quota=10_000)


def test_what_is_deleted_during_a_merge_stays_deleted(kit: Kit, cache: EmbeddingCache) -> None:
    for number in range(MANY):
        add(kit, cache, {f"s{number}": number, f"t{number}": number})

    def delete() -> None:
        kit.commit(lambda s: datasets.forget_embeddings(s, ["s3"], organisation_id="acme"))

    assert interrupted(kit, delete).compact(kit.settings.data_dir / "staging") == 0
    assert read(cache, "s3", "t3", "s4") == [3, 4]
    assert len(list(kit.storage.keys("embeddings"))) == MANY
    assert cache.compact(kit.settings.data_dir / "staging") == 1
    assert cache.compact(kit.settings.data_dir / "staging") == MANY
    assert read(cache, "s3", "t3", "s4") == [3, 4]


def test_two_merges_of_the_same_leave_one_segment(kit: Kit, cache: EmbeddingCache) -> None:
    for number in range(MANY):
        add(kit, cache, {f"s{number}": number})
    staging = kit.settings.data_dir / "staging"
    assert interrupted(kit, lambda: cache.compact(staging)).compact(staging) == 0
    assert len(segments(kit)) == 1
    assert len(list(kit.storage.keys("embeddings"))) == 1
    assert read(cache, "s0", "s1") == [0, 1]


def test_a_merged_segment_is_no_fresher_than_its_parts(kit: Kit, cache: EmbeddingCache) -> None:
    for number in range(MANY):
        add(kit, cache, {f"s{number}": number})
    kit.commit(lambda session: session.execute(update(SegmentRow).values(last_used_at=7.0)))
    cache.compact(kit.settings.data_dir / "staging")
    assert [segment.last_used_at for segment in segments(kit)] == [7.0]


def test_a_merge_takes_no_more_than_fits(kit: Kit, cache: EmbeddingCache) -> None:
    for number in range(MANY):
        add(kit, cache, {f"s{number}": number})
    size = update(SegmentRow).values(bytes=SMALL_BYTES - 1)
    kit.commit(lambda session: session.execute(size))
    assert cache.compact(kit.settings.data_dir / "staging") == MOST_BYTES // SMALL_BYTES
    assert read(cache, "s0", f"s{MANY - 1}") == [0, MANY - 1]


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("known", [True, False], ids=["hashed", "of before"])
def test_embeddings_that_are_not_finite_are_made_again(
    kit: Kit, cache: EmbeddingCache, known: bool, number: float
) -> None:
    add(kit, cache, {"a": 1, "c": number})
    add(kit, cache, {"b": 2})
    if not known:
        kit.commit(lambda session: session.execute(update(SegmentRow).values(sha256=None)))
    assert read(cache, "a", "b", "c") == [2]
    add(kit, cache, {"a": 1, "c": 3})
    assert read(cache, "a", "b", "c") == [1, 2, 3]
