"""A storage key is spelled once, in `app.infra.storage_keys`."""

from __future__ import annotations

import ast
import re

from app.infra import storage_keys
from tests.house.reading import nodes, sources

SPELLER = "app/infra/storage_keys.py"
FOLDERS = {
    storage_keys.PACKS,
    storage_keys.MANIFESTS,
    storage_keys.SEGMENTS,
    storage_keys.ARTIFACTS,
    storage_keys.RESULTS,
}
BEGINS = re.compile(rf"({'|'.join(sorted(FOLDERS))})/")
NO_KEYS = {
    "models/efficientnet-lite0-57934424.pth",
    "models/efficientnet-lite1-77cc7160.pth",
    "models/efficientnet-lite2-9656183e.pth",
}
"""Paths inside the packages that carry the weights."""


def test_no_other_module_spells_a_key() -> None:
    found = [
        f"{path}:{node.lineno}: {node.value!r}"
        for path in sources("app", "worker")
        if path.as_posix() != SPELLER
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if BEGINS.match(node.value) and node.value not in NO_KEYS
    ]
    assert found == []


def test_no_other_module_lists_a_folder_by_its_name() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in sources("app", "worker")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "keys"
        and any(isinstance(argument, ast.Constant) for argument in node.args)
    ]
    assert found == []


def test_keys_are_where_data_folders_have_them() -> None:
    assert storage_keys.pack("acme", "5ha") == "packs/acme/5ha"
    assert storage_keys.manifest("acme", "5ha") == "manifests/acme/5ha.jsonl"
    assert storage_keys.segment("acme", "k", "s") == "embeddings/acme/k/s.npy"
    artifact = storage_keys.artifact(organisation_id="acme", name="0a", fence=3)
    assert artifact == "models/acme/0a/3"
    result = storage_keys.result("acme", "batch_1", start=500, fence=2)
    assert result == "batches/acme/batch_1/000000500-2.jsonl"
