"""What so many tenants, embeddings and predictions a second need, and what breaks first.

Pure and deterministic: every cost is read from benchmarks/results, every assumption stands in
ASSUMED and LIMITS and is written into the result beside what follows from it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BACKBONES
from app.core.modalities import IDLE, PRIMARY
from app.infra.settings import Settings
from benchmarks.record import RESULTS, record

DAY = 86_400.0
GB = 1e9
VIEWS = len(IDLE["image"]) + 1


@dataclass(frozen=True)
class Assumed:
    """How the service is used; none of it is measured."""

    zipf: float = 1.0
    """Exponent of how often tenants ask, by rank (Breslau et al. 1999 found 0.64 to 0.83 for pages
    of the web; 1 leaves more to the few)."""
    jobs_a_tenant_a_day: float = 1.0
    days_to_embed_all: float = 365.0
    active_tenants_a_day: float = 0.1
    """The share that predicts on a day: each is a usage record of the day."""
    busy: float = 0.7
    """Of its cores that a process is planned to use."""
    cores_a_predictor: int = 4
    queued: int = 1_000
    """Work that waits on average."""


@dataclass(frozen=True)
class Limits:
    """A large Postgres primary and what is around it, as clouds rent them; not measured."""

    postgres_cores: float = 64.0
    postgres_memory_gb: float = 512.0
    postgres_disk_gb: float = 16_000.0
    postgres_connections: float = 500.0
    store_gets_a_second: float = 5_500.0
    """Of one prefix of S3, as its manual has it; more follow only as prefixes are split."""


@dataclass(frozen=True)
class Load:
    """What there is: tenants, embeddings (a view of a picture each), predictions a second."""

    tenants: float
    embeddings: float
    predictions: float


TARGET = Load(tenants=1e6, embeddings=1e9, predictions=1e5)
STEPS = tuple(round(10 ** (-4 + tenth / 10), 7) for tenth in range(41))
"""Shares of the target, a tenth of a decade apart."""


@dataclass(frozen=True)
class Costs:
    """What was measured; milliseconds are of one core."""

    app_ms: float
    predictor_ms: float
    embed_ms: float
    fit_seconds: float
    cold_head_ms: float
    head_bytes: float
    picture_bytes: float
    embedding_bytes: float
    embedding_row_bytes: float
    tenant_bytes: float
    usage_row_bytes: float
    key_ms: float
    claim_ms: float


def costs() -> Costs:
    """From benchmarks/results."""
    serving, rows = _results("serving"), _results("postgres_costs")
    many, single = serving["many"], serving["throughput"]["single_64"]
    intake, size = _results("intake"), rows["row_bytes"]
    width = BACKBONES["efficientnet_lite0"].width
    return Costs(
        app_ms=single["app_core_ms"],
        predictor_ms=single["predictor_core_ms"],
        embed_ms=_results("embedding")["cpu_ms_per_image"]["embed_stream"]["median"],
        fit_seconds=_results("cold_job")["warm_seconds"]["median"],
        cold_head_ms=serving["cold"]["added_ms"],
        head_bytes=1e6 * many["heads_mb"] / many["heads_in_memory"],
        picture_bytes=intake["zip_bytes"] / intake["pictures"],
        embedding_bytes=2.0 * width,
        embedding_row_bytes=size["embeddings"],
        tenant_bytes=size["organisations"] + size["api_keys"],
        usage_row_bytes=size["usage"],
        key_ms=rows["look_ups"]["key"]["postgres_core_ms"],
        claim_ms=rows["claims_with_queued"]["1000"]["postgres_core_ms"],
    )


def _results(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text())["results"])


@dataclass(frozen=True)
class Askers:
    """Tenants by how often they ask: a rate (predictions a second), and how many have it."""

    rate: NDArray[np.float64]
    tenants: NDArray[np.float64]

    def over(self, replicas: float) -> Askers:
        """What one of so many replicas sees, where any of them serves any tenant."""
        return Askers(self.rate / replicas, self.tenants)


def askers(load: Load, assumed: Assumed) -> Askers:
    """By Zipf's law; ranks that lie close together share a rate."""
    count = max(1, round(load.tenants))
    edges = np.unique(np.round(np.geomspace(1, count + 1, 4000)))
    first, tenants = edges[:-1], np.diff(edges)
    weight = np.sqrt(first * (first + tenants - 1)) ** -assumed.zipf
    return Askers(load.predictions * weight / (weight * tenants).sum(), tenants)


def hit_share(seen: Askers, room: float) -> float:
    """The share of requests that find their head in an LRU cache of `room` heads.

    Che et al. 2002: a head stays for the time in which `room` others are asked for.
    """
    if room >= seen.tenants.sum():
        return 1.0
    low, high = 1e-9, 1e12
    for _ in range(100):
        middle = math.sqrt(low * high)
        kept = float((seen.tenants * -np.expm1(-seen.rate * middle)).sum())
        low, high = (middle, high) if kept < room else (low, middle)
    asked = seen.tenants * seen.rate
    return float((asked * -np.expm1(-seen.rate * high)).sum() / asked.sum())


def key_reads(seen: Askers) -> float:
    """Keys that an app looks up a second: it remembers one for a second."""
    return float((seen.tenants * seen.rate / (1.0 + seen.rate)).sum())


def demand(load: Load, cost: Costs, assumed: Assumed) -> dict[str, float]:
    """What such a load asks of each part."""
    everybody = askers(load, assumed)
    apps = math.ceil(load.predictions * cost.app_ms / 1000 / assumed.busy)
    cores = load.predictions * cost.predictor_ms / 1000 / assumed.busy
    predictors = max(1, math.ceil(cores / assumed.cores_a_predictor))
    room = Settings.model_fields["heads_cache_bytes"].default / cost.head_bytes
    anywhere = 1.0 - hit_share(everybody.over(predictors), room)
    of_its_own = 1.0 - hit_share(everybody, room * predictors)
    keys = apps * key_reads(everybody.over(apps))
    jobs = load.tenants * assumed.jobs_a_tenant_a_day / DAY
    embedded = load.embeddings / (assumed.days_to_embed_all * DAY)
    usage = load.tenants * assumed.active_tenants_a_day
    kept = Settings.model_fields["usage_days"].default
    example = cost.picture_bytes / VIEWS + cost.embedding_bytes
    return {
        "app_processes": apps,
        "predictor_cores": cores,
        "predictors": predictors,
        "heads_gb": load.tenants * cost.head_bytes / GB,
        "heads_fetched_a_second": load.predictions * anywhere,
        "heads_fetched_a_second_by_affinity": load.predictions * of_its_own,
        "postgres_connections": 20.0 * apps,
        "keys_looked_up_a_second": keys,
        "postgres_cores_for_keys": keys * cost.key_ms / 1000,
        "postgres_cores_for_claims": 2 * jobs * cost.claim_ms / 1000,
        "embedding_index_gb": load.embeddings * cost.embedding_row_bytes / GB,
        "usage_gb": usage * kept * cost.usage_row_bytes / GB,
        "tenants_gb": load.tenants * cost.tenant_bytes / GB,
        "store_tb": load.embeddings * example / 1e12,
        "trainer_cores": (embedded * cost.embed_ms / 1000 + 2 * jobs * cost.fit_seconds)
        / assumed.busy,
    }


@dataclass(frozen=True)
class Break:
    """What stops growing, where, and what replaces it."""

    part: str
    asks: str
    limit: float
    replaced_by: str


def breaks(limits: Limits) -> tuple[Break, ...]:
    """The parts that no further replica of ours makes larger."""
    return (
        Break(
            "the index of embeddings, in Postgres' memory",
            "embedding_index_gb",
            limits.postgres_memory_gb,
            "one row a segment, its hashes in a sorted file beside it in the store: a look-up reads"
            " the files of one tenant, and Postgres keeps a thousandth",
        ),
        Break(
            "heads, fetched from one prefix of the store",
            "heads_fetched_a_second",
            limits.store_gets_a_second,
            "predictors chosen by the model's name (rendezvous hashing in the app), so that each"
            " keeps its share of the heads",
        ),
        Break(
            "connections of Postgres",
            "postgres_connections",
            limits.postgres_connections,
            "a pooler in transaction mode (PgBouncer), or pools of fewer than 20 a process",
        ),
        Break(
            "Postgres' cores, looking up keys",
            "postgres_cores_for_keys",
            limits.postgres_cores,
            "replicas for reading, or keys that carry their rights, signed, with a list of those"
            " that were revoked",
        ),
        Break(
            "Postgres' cores, claiming work",
            "postgres_cores_for_claims",
            limits.postgres_cores,
            "a database of work a group of tenants",
        ),
        Break(
            "usage records on Postgres' disk",
            "usage_gb",
            limits.postgres_disk_gb,
            "partitions by month, the old ones in the store",
        ),
    )


def first_share(needs: Mapping[float, Mapping[str, float]], found: Break) -> float | None:
    """The least share of the target that asks more of a part than there is; None: none does."""
    return next((share for share in sorted(needs) if needs[share][found.asks] > found.limit), None)


def simulate(cost: Costs, assumed: Assumed, limits: Limits) -> dict[str, Any]:
    """The demand at the target, and in which order parts break on the way to it."""
    needs = {
        share: demand(
            Load(share * TARGET.tenants, share * TARGET.embeddings, share * TARGET.predictions),
            cost,
            assumed,
        )
        for share in STEPS
    }
    places = [(first_share(needs, found), found) for found in breaks(limits)]
    order = sorted((share, found.part) for share, found in places if share is not None)
    return {
        "target": asdict(TARGET),
        "at_the_target": {name: float(f"{value:.4g}") for name, value in needs[1.0].items()},
        "breaks": [
            {"at_share_of_target": share, **asdict(found)}
            for share, found in sorted(places, key=lambda place: (place[0] or 9, place[1].part))
        ],
        "first": order[0][1] if order else None,
    }


def units(cost: Costs) -> dict[str, float]:
    """The costs as one says them."""
    return {
        "embedded_images_a_second_a_core": round(1000 / cost.embed_ms, 1),
        "predictions_a_second_a_predictor_core": round(1000 / cost.predictor_ms, 1),
        "predictions_a_second_an_app_core": round(1000 / cost.app_ms),
        "bytes_an_embedding": cost.embedding_bytes,
        "bytes_an_example_in_the_store": round(
            cost.picture_bytes + VIEWS * cost.embedding_bytes, -3
        ),
        "heads_a_gb": round(GB / cost.head_bytes, -1),
        "bytes_an_embedding_in_postgres": round(cost.embedding_row_bytes),
        "bytes_a_tenant_in_postgres": round(cost.tenant_bytes),
    }


def main() -> None:
    """Write benchmarks/results/capacity.json."""
    cost, assumed, limits = costs(), Assumed(), Limits()
    record(
        "capacity",
        figure="what a million tenants, a billion embeddings and 100,000 predictions a"
        " second need, and which part breaks first on the way there",
        method="computed from the costs in serving, embedding, cold_job, intake and postgres_costs;"
        f" every picture in {VIEWS} views ({PRIMARY['image']} and those of idle time) of"
        " efficientnet_lite0; heads in LRU caches by Che's approximation; a part breaks at the"
        " least share of the target, in steps of a tenth of a decade, that asks more of it than"
        " the assumed limit; no GPU was measured",
        results={
            "units": units(cost),
            "costs": asdict(cost),
            "assumed": asdict(assumed),
            "limits": asdict(limits),
            **simulate(cost, assumed, limits),
        },
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
