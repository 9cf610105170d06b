"""Requests of every kind, made of the description of the API, right and wrong (https://schemathesis.readthedocs.io)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from contract.running import Proxy, serving
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS

NDJSON = "application/x-ndjson"
OPERATIONS = [(endpoint.path, method) for endpoint in ENDPOINTS for method in endpoint.methods]
TAKING = [(endpoint.path, endpoint.methods[-1]) for endpoint in ENDPOINTS if endpoint.body]
MODELS = ("demo", "demo-think", "demo-embed", None)
SLOWEST = 10  # seconds: a stall, not a speed
# What names the model that is to be there, if it is not called that.
NAMES = {"/api/create": "from", "/api/copy": "source"}
load_all_checks()
CHECKED: list[Any] = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
# Contract 1.9: 500 is for all that has no other status. Contract 4, 3.3, 5.11 and 5.12 have these.
DOCUMENTED = (
    'option "',
    "invalid format: ",
    "pull model manifest: file does not exist",
    "unauthorized: access denied",
    "open ",
    # Contract 5.10: what a runner objects to, always.
    "The model 'demo",
)
SAME_EACH_TIME = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@schemathesis.deserializer(NDJSON)
def last_line(_context: object, response: schemathesis.Response) -> Any:
    """What is checked of a stream beside its lines: the last of them."""
    return json.loads(response.content.splitlines()[-1])


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy of its own, whose aliases come and go."""
    with serving(
        tmp_path_factory.mktemp("described"), "--demo", "--rate", "0", API_DOCS="true", DRAIN_DELAY="0"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """A client that knows nothing of the machine's own proxies."""
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@cache
def description(url: str) -> Any:
    with requests.Session() as opened:
        opened.trust_env = False
        return opened.get(f"{url}/openapi.json", timeout=30).json()


def check(proxy: Proxy, session: requests.Session, path: str, method: str, mode: GenerationMode) -> None:
    """Send what schemathesis makes of the operation, the same each time, and check each answer."""
    document = description(proxy.url)
    operation = schemathesis.openapi.from_dict(document)[path][method]

    @SAME_EACH_TIME
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(MODELS))
    def each(case: schemathesis.Case[Any], model: str | None) -> None:
        name = NAMES.get(path, "model")
        if model and isinstance(case.body, dict) and name in case.body:
            case.body[name] = model  # or none would ever be found
        response = case.call(base_url=proxy.url, session=session, timeout=30)
        assert response.elapsed < SLOWEST, response.text
        if response.status_code >= 500:
            assert response.status_code == 500, response.text
            assert response.json()["error"].startswith(DOCUMENTED), response.text
        case.validate_response(response, checks=CHECKED)
        if NDJSON in response.headers.get("content-type", [""])[0]:
            check_lines(document, path, response.content)

    each()


def check_lines(document: dict[str, Any], path: str, body: bytes) -> None:
    """Check that each line is as it is described (contract 1.8: each ends in LF, none is blank)."""
    schema = document["paths"][path]["post"]["responses"]["200"]["content"][NDJSON]["schema"]
    validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
    *lines, rest = body.split(b"\n")
    assert rest == b""
    for line in lines:
        validator.validate(json.loads(line))


def test_description_is_valid(described: Proxy) -> None:
    """It is OpenAPI 3.1, by its own schema (https://spec.openapis.org/oas/3.1/schema/2022-10-07)."""
    document = description(described.url)
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_valid_requests(described: Proxy, session: requests.Session, path: str, method: str) -> None:
    """What the description allows is never the server's fault, and its answers are as they are described."""
    check(described, session, path, method, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("path", "method"), TAKING)
def test_invalid_requests(described: Proxy, session: requests.Session, path: str, method: str) -> None:
    """What the description excludes is an error that it describes, or is taken as Ollama takes it (contract 1.7)."""
    check(described, session, path, method, GenerationMode.NEGATIVE)
