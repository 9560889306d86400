"""Asking for batch predictions over HTTP."""

from __future__ import annotations

import httpx

BATCHES = "/v1/batch_predictions"
NOBODYS = "batch_01ke4bz3r0h5d8g2j4n6p9s1v3"
WAIT = {"prefer": "wait=60"}
BACKBONE = "efficientnet_lite0"


def send(
    client: httpx.Client, data: bytes, *, filename: str = "new.zip", **fields: str
) -> httpx.Response:
    """An upload to be predicted."""
    return client.post(BATCHES, files={"file": (filename, data)}, data=fields, headers=WAIT)
