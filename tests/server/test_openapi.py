"""The relay's description of its bytes is true; what is generated from it finds no fault."""

from functools import partial
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backchannel.protocol import limits
from backchannel.protocol.drop import MAC, REQUEST_HEAD, Operation, Read
from backchannel.protocol.types import Hour
from tests.server.inside import Inside, Transport
from tests.support.relay import noise

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_every_operation_says_how_large_its_bytes_are(inside: Inside) -> None:
    paths = inside.app.openapi()["paths"]
    sizes = {}
    for path, methods in paths.items():
        if "post" in methods:
            body = methods["post"]["requestBody"]["content"]["application/octet-stream"]
            sizes[path] = (body["schema"]["minLength"], body["schema"]["maxLength"])
    head = REQUEST_HEAD
    assert sizes == {
        "/v1/create": (head + 81, head + 81),
        "/v1/append": (head + limits.BLOCK, head + 64 * limits.BLOCK),
        "/v1/read": (head + 16, head + 16),
        "/v1/seal": (head, head + 64 * limits.BLOCK),
        "/v1/delete": (head, head),
    }


def test_every_refusal_of_the_specification_is_described(inside: Inside) -> None:
    paths = inside.app.openapi()["paths"]
    operations = {path: told["post"] for path, told in paths.items() if "post" in told}
    told = {path: set(operation["responses"]) for path, operation in operations.items()}
    always = {"200", "404", "409", "413", "422", "503"}
    assert told["/v1/create"] == always | {"403"}
    assert told["/v1/append"] == always | {"429", "507"}
    assert told["/v1/read"] == always | {"429"}
    assert told["/v1/seal"] == told["/v1/delete"] == always


@pytest.mark.parametrize(
    ("path", "most"),
    [("read", 9 + 64 * (12 + limits.BLOCK)), ("append", 64 * 12), ("seal", 64 * 12)],
)
def test_an_answer_about_sixty_four_blocks_fits_the_description(
    inside: Inside, path: str, most: int
) -> None:
    answer = inside.app.openapi()["paths"][f"/v1/{path}"]["post"]["responses"]["200"]
    schema = answer["content"]["application/octet-stream"]["schema"]
    assert schema["maxLength"] == MAC + most


@pytest.mark.slow
def test_attack_54_what_the_description_generates_is_answered_as_described(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_mark: float) -> None:
        return

    monkeypatch.setattr(inside.relay.floor, "wait", at_once)
    schema = schemathesis.openapi.from_dict(inside.app.openapi())
    results = list(schema.get_all_operations())
    assert len(results) == 6
    for result in results:
        assert isinstance(result, Ok)
        answers_as_described(inside, result.ok())


def answers_as_described(inside: Inside, operation: APIOperation[Any, Any, Any, Any]) -> None:
    """Tries generated requests of one operation, and checks each answer against the description."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def answers(case: schemathesis.Case[Any]) -> None:
        sent = case.as_transport_kwargs(base_url="http://relay")
        answer = inside.http.request(
            sent["method"], sent["url"], headers=sent["headers"], content=sent.get("data")
        )
        case.validate_response(answer, checks=CHECKS)

    answers()


def test_the_short_way_to_a_route_answers_as_the_long_way(inside: Inside) -> None:
    """Requests in bytes pass FastAPI by; what it would have answered is the same."""
    client = inside.drop()
    client.append(*noise(3))
    wrong = client.with_wrong_key()
    asked = [
        client.request(Operation.READ, Read(1, Hour(0), 2, 0).pack()),
        client.request(Operation.APPEND, b"no block"),
        wrong.request(Operation.READ, Read(1, Hour(0), 2, 0).pack()),
    ]
    long = httpx.Client(
        transport=Transport(inside.loop, partial(FastAPI.__call__, inside.app)),
        base_url="http://relay",
    )
    with long:
        for request in asked:
            path = f"/v1/{request.operation.name.lower()}"
            one, two = (http.post(path, content=request.pack()) for http in (inside.http, long))
            assert (one.status_code, one.content) == (two.status_code, two.content)
            assert one.headers == two.headers
