# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document and the reference page, as a client gets them."""

import base64
import hashlib
import html
import json
import re

import httpx
from harness.wait import net
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

pytestmark = pytest.mark.smoke


def fetch(server, path, method="GET"):
    return httpx.request(method, server.url + path, trust_env=False, timeout=net(5))


@pytest.fixture(scope="module")
def document(server):
    return fetch(server, "/openapi.json").json()


@pytest.fixture(scope="module")
def page(server):
    return fetch(server, "/docs").text


def test_the_document_is_valid(document):
    problems = [f"{error.json_path}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert problems == []
    assert document["openapi"].startswith("3.1.")


def test_the_document_needs_no_token_and_has_two_addresses(server, document):
    answer = fetch(server, "/api/v1/openapi.json")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json() == document


def test_the_document_describes_itself(document):
    schema = {**document["components"]["schemas"]["OpenApiDocument"], "components": document["components"]}
    jsonschema.validate(document, schema)
    assert "/openapi.json" in document["paths"]


def test_the_root_leads_to_the_page(server):
    answer = fetch(server, "/")
    assert answer.status_code == 307 and answer.headers["location"] == "/docs"


def test_the_page_may_only_show_itself(server, page):
    answer = fetch(server, "/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "<script" not in page and 'style="' not in page
    head = fetch(server, "/docs", "HEAD")
    assert head.status_code == 200 and head.content == b""
    assert int(head.headers["content-length"]) == len(page.encode())


def test_the_page_has_every_operation(document, page):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            heading = f'<h3 id="{operation["operationId"]}"><code><span class="method">{method}</span> {path}</code>'
            assert heading in page


def test_examples_of_the_page_fit(document, page):
    """The bodies of the curl lines are what the schemas allow."""
    bodies = 0
    for path, operations in document["paths"].items():
        for operation in operations.values():
            section = page.split(f'<h3 id="{operation["operationId"]}">', 1)[1].split("<h3", 1)[0]
            match = re.search(r"-d '(.*?)'</pre>", section, re.DOTALL)
            assert (match is not None) == ("requestBody" in operation), operation["operationId"]
            if match:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                body = json.loads(html.unescape(match.group(1)))
                jsonschema.validate(body, {**schema, "components": document["components"]})
                bodies += 1
    assert bodies > 20
