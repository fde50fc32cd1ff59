"""The server's description: an OpenAPI document, made from the table that routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from dp_core import connect
from dp_core.server import App, Settings, app
from dp_core.server._endpoints import ENDPOINTS
from dp_core.server._routing import json_failure, openapi
from support.server.asgi_driver import Request, ask

TOKEN: Final = "t" * 40


def document(*, asks_for_tokens: bool | None = None) -> dict[str, Any]:
    """Return the description of all endpoints."""
    return openapi(ENDPOINTS, asks_for_tokens=asks_for_tokens)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all operations of the document, and what they are."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def served(**settings: Any) -> App:
    """Return an app over a store of its own."""
    return app(connect(f"memory:{uuid4()}").backend, Settings(**settings))


@pytest.mark.parametrize("asks_for_tokens", [True, False, None])
def test_it_is_a_valid_document(asks_for_tokens: bool | None) -> None:
    """As the standard's own schemas have it."""
    found = OpenAPIV31SpecValidator(document(asks_for_tokens=asks_for_tokens))

    assert [] == list(found.iter_errors())


def test_it_has_all_rows_of_the_table() -> None:
    """A row that says nothing about itself is for browsers, and fails by a page."""
    said = {name for name, _ in operations()}

    for row in ENDPOINTS:
        names = {f"{method} {row.path}" for method in row.methods}
        assert names <= said if row.about else names.isdisjoint(said)
        assert row.about or row.fail is not json_failure
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids) == len(said)


def schemas_with_examples() -> Iterator[tuple[str, Any, Any]]:
    """Yield the schemas of bodies and answers, and an example of each."""
    for name, operation in operations():
        bodies = [operation.get("requestBody", {})]
        for where in (*bodies, *operation["responses"].values()):
            for content in where.get("content", {}).values():
                shown = [each["value"] for each in content.get("examples", {}).values()]
                for example in shown + [
                    content[k] for k in ("example",) if k in content
                ]:
                    yield name, content["schema"], example


def test_its_examples_are_of_their_schemas() -> None:
    """Who copies one gets it right."""
    components = {"components": document()["components"]}
    count = 0
    for name, schema, example in schemas_with_examples():
        found = Draft202012Validator({**components, **schema}).iter_errors(example)
        assert [] == [(name, error.message) for error in found]
        count += 1

    assert count > 30


async def test_its_examples_are_answered_as_it_says() -> None:
    """Each request of the document, made of its examples, is taken, in its order."""
    promises = served()
    for name, operation in operations():
        method, path = name.split(" ")
        query = "promiseId=approve-17" if name == "GET /watch" else ""
        body = operation.get("requestBody", {}).get("content", {})
        for content in body.values() or [{}]:
            examples = [each["value"] for each in content.get("examples", {}).values()]
            for example in examples or [None]:
                if path.endswith(("/await", "/watch")):
                    for id in ("approve-17", "approve-18"):
                        await ask(promises, "/promise/resolve", {"promiseId": id})
                answer = await ask(
                    promises,
                    path.replace("{id}", "approve-17"),
                    example,
                    method=method,
                    query=query,
                )
                assert 200 <= answer.status < 300, name
                assert str(answer.status) in operation["responses"]
                types = operation["responses"][str(answer.status)].get("content", {})
                found = answer.headers.get("content-type", "").partition(";")[0]
                assert "HEAD" == method or found in types or not (found or types)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_everybody_may_read_it(method: str) -> None:
    """Without a token: it says what these pages say, and nothing about the store."""
    answer = await ask(served(token=TOKEN), "/openapi.json", method=method)

    assert 200 == answer.status
    assert "application/json" == answer.headers["content-type"]
    if method == "GET":
        assert document(asks_for_tokens=True) == json.loads(answer.body)


async def test_no_foreign_page_reads_it() -> None:
    """The rules for names and pages hold here, too."""
    for headers, status in (
        ([(b"origin", b"https://evil.test")], 403),
        ([(b"sec-fetch-site", b"cross-site")], 403),
    ):
        answer = await ask(served(), "/openapi.json", method="GET", headers=headers)
        assert status == answer.status


@pytest.mark.parametrize(
    ("settings", "security"),
    [
        ({}, [{}]),
        ({"token": TOKEN}, [{"token": []}]),
        ({"secrets": (TOKEN,)}, [{"token": []}]),
    ],
)
async def test_it_says_whether_the_server_asks_for_tokens(
    settings: dict[str, Any], security: list[object]
) -> None:
    """Of each operation; where the document is of no server, both are possible."""
    answer = await ask(served(**settings), "/openapi.json", method="GET")
    paths = answer.json()["paths"]

    assert security == paths["/promise/peek"]["post"]["security"]
    assert ("401" in paths["/promise/peek"]["post"]["responses"]) == bool(settings)
    assert [{}] == paths["/health"]["get"]["security"]
    assert [{"token": []}, {}] == document()["paths"]["/batch"]["post"]["security"]


async def test_below_a_prefix_it_says_so() -> None:
    """Who is mounted below a path has the paths of the document below that."""
    request = Request("/dp/openapi.json", method="GET")
    request._scope["root_path"] = "/dp"
    await request.run(served())

    assert [{"url": "/dp"}] == request.json()["servers"]
    assert "servers" not in document()
