"""An S3 store in memory (moto) that keeps each object as a file, too, and reads them as it starts.

An object is a file before its request is answered: what was answered outlives a kill.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import S3Backend, s3_backends
from moto.server import ThreadedMotoServer

ROOT = Path(sys.argv[1])
SCRATCH = ".scratch"


plain_create = S3Backend.create_bucket
plain_put = S3Backend.put_object
plain_delete = S3Backend.delete_object


def create_bucket(self: S3Backend, bucket_name: str, *args: Any, **options: Any) -> Any:
    (ROOT / bucket_name).mkdir(exist_ok=True)
    return plain_create(self, bucket_name, *args, **options)


def put_object(self: S3Backend, bucket_name: str, key_name: str, value: bytes, **more: Any) -> Any:
    with tempfile.NamedTemporaryFile(dir=ROOT / SCRATCH, delete=False) as file:
        file.write(value)
    Path(file.name).replace(file_of(bucket_name, key_name))
    return plain_put(self, bucket_name, key_name, value, **more)


def delete_object(self: S3Backend, bucket_name: str, key_name: str, *a: Any, **b: Any) -> Any:
    file_of(bucket_name, key_name).unlink(missing_ok=True)
    return plain_delete(self, bucket_name, key_name, *a, **b)


def file_of(bucket_name: str, key_name: str) -> Path:
    return ROOT / bucket_name / quote(key_name, safe="")


def remember() -> None:
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for bucket in (one for one in ROOT.iterdir() if one.is_dir() and one.name != SCRATCH):
        plain_create(backend, bucket.name, "us-east-1")
        for file in bucket.iterdir():
            plain_put(backend, bucket.name, unquote(file.name), file.read_bytes())


def main() -> None:
    (ROOT / SCRATCH).mkdir(exist_ok=True)
    remember()
    for changed in (create_bucket, put_object, delete_object):
        setattr(S3Backend, changed.__name__, changed)
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=9000, verbose=False)
    server.start()
    threading.Event().wait()


main()
