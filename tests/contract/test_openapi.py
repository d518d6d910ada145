"""The server keeps its own OpenAPI document: what it says it takes and gives, it takes and gives."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

schemathesis = pytest.importorskip("schemathesis")
from web_fixtures import Camera, make_site, until  # noqa: E402, F401 (a fixture is found by its name)

WITH_THE_TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def served(make_site):  # noqa: F811
    """A server with a stream that gives frames."""
    site = make_site({"door": Camera()}, token="secret")
    client = site.client(**WITH_THE_TOKEN)
    until(lambda: client.get("/streams/door").status_code == 200)
    return site, client


def test_the_document_is_valid_and_names_every_route(served):
    document = served[1].get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).config  # noqa: B018 (it is read)
    paths = {(path, method) for path, row in document["paths"].items() for method in row}
    assert paths == {
        ("/health", "get"),
        ("/models", "get"),
        ("/models/{name}.onnx", "get"),
        ("/metrics", "get"),
        ("/detect", "post"),
        ("/streams", "get"),
        ("/streams/{name}", "get"),
        ("/streams/{name}", "put"),
        ("/streams/{name}/scene", "get"),
        ("/streams/{name}/picture", "get"),
    }
    for path, row in document["paths"].items():
        for answer in row.values():
            assert {"400", "401", "403", "429"} <= set(answer["responses"]), path
    body = document["paths"]["/detect"]["post"]["requestBody"]["content"]
    assert "image/jpeg" in body


@pytest.mark.filterwarnings("ignore")  # of packages that schemathesis stands on
def test_answers_are_as_the_document_says(served):
    site, client = served
    document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @schemathesis_given(operation)
        def ask(case):
            nonlocal count
            count += 1
            response = case.call(base_url=site.server.url, headers=WITH_THE_TOKEN)
            case.validate_response(response, checks=checks)

        ask()
    assert count > 50


def schemathesis_given(operation):
    """Hypothesis' @given of the requests that an operation's schema allows."""
    from hypothesis import given

    return given(case=operation.as_strategy())
