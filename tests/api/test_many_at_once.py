"""More requests than there are threads and connections: all of them are answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from app.infra.database import THREADS
from tests.api.service import Service
from tests.api.uploading import code


def test_more_readers_than_threads_are_all_answered(service: Service, key: str) -> None:
    limits = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {key}"}
    many = 3 * THREADS
    with (
        httpx.Client(base_url=service.url, headers=headers, timeout=60, limits=limits) as client,
        ThreadPoolExecutor(many) as pool,
    ):
        answers = list(pool.map(client.get, ["/v1/fine_tuning/jobs"] * many))
    assert {answer.status_code for answer in answers} == {200}


def test_a_name_no_database_takes_is_refused(service: Service, client: httpx.Client) -> None:
    for name in ("%00", "a%20b", "%F0%9F%90%88", "x" * 201):
        status, _ = code(client.post(f"/v1/models/{name}/predictions", content=b"x"))
        assert status in (404, 422)
