"""An S3-compatible server for the storage's conformance tests, on a free loopback port."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def s3_server(bucket: str) -> Iterator[str]:
    """The endpoint of a running server that holds an empty `bucket`; one at a time in a process,
    whose servers all have one memory.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        for path, method in (("moto-api/reset", "POST"), (bucket, "PUT")):
            request = urllib.request.Request(f"{endpoint}/{path}", method=method)
            urllib.request.urlopen(request, timeout=10).close()
        yield endpoint
    finally:
        server.stop()
