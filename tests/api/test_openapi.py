"""The OpenAPI document: names, examples and links that generators can rely on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.http import gate
from app.http.gate import MAX_JSON
from app.infra.settings import Settings
from app.main import create_app

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is served."""
    described: dict[str, Any] = json.loads(json.dumps(create_app(Settings()).openapi()))
    return described


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its id."""
    found = [
        {"path": path, **operation}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]
    return {operation["operationId"]: operation for operation in found}


def schemas_in(node: Any, where: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Whatever has examples below `node`, with the pointer to it."""
    if isinstance(node, dict):
        if isinstance(node.get("examples"), list) or "schema" in node:
            yield where, node
        for key, value in node.items():
            if key != "examples":
                yield from schemas_in(value, f"{where}/{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from schemas_in(value, f"{where}/{place}")


def told(node: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """A schema, a parameter's or a media type's, and its examples."""
    if "schema" not in node:
        return node, node["examples"]
    named = node.get("examples", {})
    listed = [each["value"] for each in named.values()] if isinstance(named, dict) else named
    return node["schema"], listed + ([node["example"]] if "example" in node else [])


def test_it_says_where_it_is_served_and_under_which_licence(document: dict[str, Any]) -> None:
    assert document["servers"]
    assert document["info"]["license"]["identifier"] == "Apache-2.0"


def test_one_name_is_one_shape(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert [name for name in schemas if "__" in name] == []
    titles = Counter(schema["title"] for schema in schemas.values())
    assert [title for title, count in titles.items() if count > 1] == []
    assert "request_id" in schemas["Problem"]["properties"]
    assert "request_id" not in schemas["FoundProblem"]["properties"]
    assert schemas["Dataset"]["properties"]["problems"]["items"]["$ref"].endswith("/FoundProblem")


def test_no_member_has_the_name_of_its_shape(document: dict[str, Any]) -> None:
    """A class `Embedding` with a member `embedding` is what generated code trips over."""
    for name, schema in document["components"]["schemas"].items():
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert snake not in schema.get("properties", {}), name


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for where, node in schemas_in(document):
        schema, examples = told(node)
        validator = Draft202012Validator({"components": document["components"], **schema})
        for example in examples:
            assert [f"{error.message}" for error in validator.iter_errors(example)] == [], where
            checked += 1
    assert checked > 60


def test_examples_keep_their_nulls(document: dict[str, Any]) -> None:
    (job,) = document["components"]["schemas"]["Job"]["examples"]
    assert job["error"] is None
    assert job["validation_file"] is None


def test_links_fit_the_operations_that_they_lead_to(
    document: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    led = 0
    for operation in operations.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target = operations[link["operationId"]]
                wanted = {one["name"] for one in target["parameters"] if one["in"] == "path"}
                assert set(link["parameters"]) == wanted
                (source,) = set(link["parameters"].values())
                ref = answer["content"]["application/json"]["schema"]["$ref"]
                shape = document["components"]["schemas"][ref.rpartition("/")[2]]
                assert source.removeprefix("$response.body#/") in shape["properties"]
                led += 1
    assert led > 20


def test_ids_of_operations_are_kept(operations: dict[str, dict[str, Any]]) -> None:
    """Generated clients name their methods by them."""
    for name, operation in operations.items():
        path = re.sub(r"\W", "_", operation["path"])
        assert re.fullmatch(rf"[a-z_]+{re.escape(path)}_({'|'.join(METHODS)})", name), name


def test_a_bare_file_has_its_fields_in_the_query(operations: dict[str, dict[str, Any]]) -> None:
    for name in ("create_dataset_v1_datasets_post", "create_batch_v1_batch_predictions_post"):
        operation = operations[name]
        content = operation["requestBody"]["content"]
        assert {"application/zip", "application/octet-stream", "text/csv"} <= set(content)
        form = set(content["multipart/form-data"]["schema"]["properties"]) - {"file"}
        queries = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert form | {"filename"} <= queries
        assert not any(one.get("required") for one in operation["parameters"])
        told = [one for one in operation["parameters"] if one["name"] in form]
        assert not any("default" in one["schema"] for one in told), "sent beside a form"


def test_each_form_of_a_models_path_is_told(document: dict[str, Any]) -> None:
    for rest in ("", "/ready", "/infer"):
        assert f"/v2/models/{{model}}{rest}" in document["paths"]
        assert f"/v2/models/{{model}}/versions/1{rest}" in document["paths"]


def test_bodies_with_inputs_are_admitted_as_long_as_pictures_are(
    document: dict[str, Any],
) -> None:
    seen = set()
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content or "image/*" in content:
            scope = {"method": "POST", "path": re.sub(r"{\w+}", "x", path)}
            most = gate.longest(scope, max_body=64 * MAX_JSON, max_upload=512 * MAX_JSON)
            assert most > MAX_JSON, path
            seen.add(path)
    assert {"/v1/models/{model}/calibrate", "/v1/models/{model}/predictions"} <= seen
