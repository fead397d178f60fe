# SPDX-License-Identifier: Apache-2.0
"""docs/api-coverage.md: every operation of the official Python SDK, called against the server. What the SDK gets and
understands is done; 501 is not; anything else fails. After a change of what is built, write the page anew:
POSTHORN_WRITE_DOCS=1 tests/e2e/run test_api_coverage.py"""

import functools
import inspect
import os
import typing
from datetime import datetime, timedelta, timezone

import httpx
import pytest
from harness.api import unique
from harness.server import TOP
from harness.wait import net
from pydantic import BaseModel
from svix import models
from svix.api import Svix, SvixOptions
from svix.api.common import ApiBaseSync
from svix.exceptions import HttpError, HTTPValidationError

PAGE = TOP / "docs" / "api-coverage.md"
NOW = datetime.now(timezone.utc)
HOUR = timedelta(hours=1)
PROGRAM = "{body: .data, headers: {}}"
SPEC = {"openapi": "3.1.0", "webhooks": {"a.b": {"post": {"operationId": "a.b", "description": "d"}}}}

# What is sent; `url` is the test's receiver. Bodies of operations that are not built are left empty.
BODIES = {
    models.ApplicationIn: {"name": "covered"},
    models.ApplicationPatch: {"name": "covered"},
    models.AppPortalAccessIn: {},
    models.ApplicationTokenExpireIn: {},
    models.AppUsageStatsIn: {"since": NOW - HOUR, "until": NOW},
    models.BulkExpungeContentsIn: {"ids": ["nothing"]},
    models.BulkReplayIn: {"since": NOW - HOUR},
    models.EndpointHeadersIn: {"headers": {"x-covered": "1"}},
    models.EndpointHeadersPatchIn: {"headers": {"x-covered": "1"}},
    models.EndpointIn: {"url": ...},
    models.EndpointPatch: {"description": "covered"},
    models.EndpointSecretRotateIn: {},
    models.EndpointTransformationIn: {"code": PROGRAM, "enabled": True},
    models.EndpointTransformationPatch: {"code": PROGRAM, "enabled": True},
    models.EndpointUpsertIn: {"url": ...},
    models.EnvironmentIn: {"eventTypes": [{"name": "covered.import", "description": "d"}]},
    models.EventExampleIn: {"eventType": "covered.example"},
    models.EventTypeImportOpenApiIn: {"spec": SPEC, "dryRun": True},
    models.EventTypeIn: {"name": ..., "description": "covered"},
    models.EventTypePatch: {"description": "covered"},
    models.EventTypeUpsertIn: {"description": "covered"},
    models.IntegrationIn: {"name": "covered"},
    models.IntegrationUpdate: {"name": "covered"},
    models.MessageIn: {"eventType": "covered.sent", "payload": {"n": 1}},
    models.MessagePrecheckIn: {"eventType": "covered.sent"},
    models.OperationalWebhookEndpointHeadersIn: {"headers": {"x-covered": "1"}},
    models.OperationalWebhookEndpointIn: {"url": ...},
    models.OperationalWebhookEndpointSecretIn: {},
    models.OperationalWebhookEndpointUpsertIn: {"url": ...},
    models.PollingEndpointConsumerSeekIn: {"after": NOW - HOUR},
    models.RecoverIn: {"since": NOW - HOUR},
    models.ReplayIn: {"since": NOW - HOUR},
}
# Tokens of an application end by it; the organisation's do not.
AS_APPLICATION = {"authentication.logout"}


class Plot:
    """Rows of its own for one call, made when it asks for them."""

    def __init__(self, api, receiver):
        self.api = api
        self.receiver = receiver

    @functools.cached_property
    def app(self):
        return self.api.new_app(uid=unique("covered"))

    @functools.cached_property
    def app_id(self):
        return self.app["id"]

    @functools.cached_property
    def endpoint_id(self):
        return self.api.new_endpoint(self.app, self.url)["id"]

    @functools.cached_property
    def msg_id(self):
        assert self.endpoint_id
        return self.api.send(self.app, event_type="covered.sent")["id"]

    @functools.cached_property
    def attempt_id(self):
        return self.api.wait_attempts(self.app, {"id": self.msg_id})[0]["id"]

    @functools.cached_property
    def event_type_name(self):
        return self.api.new_event_type()["name"]

    @functools.cached_property
    def integ_id(self):
        return self.made(f"/app/{self.app_id}/integration", {"name": "covered"})

    @functools.cached_property
    def sink_id(self):
        return self.made(f"/app/{self.app_id}/sink", {"type": "poller"})

    @functools.cached_property
    def hook_id(self):
        return self.made("/operational-webhook/endpoint", {"url": self.url})

    @functools.cached_property
    def task_id(self):
        return self.made(f"/app/{self.app_id}/msg/expunge-all-contents", None)

    @property
    def url(self):
        return self.receiver.url("/" + unique("covered"))

    def made(self, path, body):
        answer = self.api.post(path, body)
        assert answer.status_code in (201, 202, 501), answer.text
        return answer.json().get("id", "not-built")

    def argument(self, name, resource):
        if resource == "operational_webhook.endpoint" and name == "endpoint_id":
            return self.hook_id
        return getattr(self, name, "not-built")

    def body(self, kind):
        fields = dict(BODIES.get(kind, {}))
        if fields.get("url") is ...:
            fields["url"] = self.url
        if fields.get("name") is ...:
            fields["name"] = unique("covered")
        return kind(**fields) if kind in BODIES else kind.model_construct()


def methods_of(resource, name=""):
    """("message.poller.poll", bound method) of every operation below a resource of the SDK."""
    for key, value in inspect.getmembers(type(resource)):
        path = f"{name}.{key}".lstrip(".")
        if isinstance(value, property):
            child = getattr(resource, key)
            if isinstance(child, ApiBaseSync):
                yield from methods_of(child, path)
        elif inspect.isfunction(value) and not key.startswith("_") and isinstance(resource, ApiBaseSync):
            yield path, getattr(resource, key)


def call(path, method, plot):
    """Calls with what the parameters ask for."""
    hints = typing.get_type_hints(method)
    arguments = []
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            continue
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            arguments.append(plot.body(kind))
        else:
            assert kind is str, f"{path} wants {name} of {kind}"
            arguments.append(plot.argument(name, path.rpartition(".")[0]))
    return method(*arguments)


class Recorder:
    """The last request of a client, and its status."""

    def __init__(self, svix):
        self.method = self.path = self.status = None
        svix._httpx_client.event_hooks["response"] = [self.note]

    def note(self, response):
        self.method = response.request.method
        self.path = response.request.url.path
        self.status = response.status_code


@pytest.fixture(scope="module")
def document(server):
    return httpx.get(server.url + "/openapi.json", trust_env=False, timeout=net(5)).json()


def template_of(document, method, path):
    """The path of the document that a request fits; literal segments before parameters."""
    parts = path.strip("/").split("/")
    fitting = [
        template
        for template, methods in document["paths"].items()
        if method.lower() in methods
        and len(template.strip("/").split("/")) == len(parts)
        and all(want == got or want[0] == "{" for want, got in zip(template.strip("/").split("/"), parts, strict=True))
    ]
    assert fitting, f"{method} {path} stands in no row"
    return min(fitting, key=lambda template: template.count("{"))


def call_all(server, api, receiver, document):
    """{"application.list": ("GET", "/api/v1/app", "done")}"""
    options = SvixOptions(server_url=server.url, retry_schedule=[], timeout=net(30))
    organisation = Svix(server.org_token, options)
    api.new_event_type("covered.example", schemas={"1": {"examples": [{"n": 1}]}})
    found = {}
    for path, method in methods_of(organisation):
        plot = Plot(api, receiver)
        svix = organisation
        if path in AS_APPLICATION:
            svix = Svix(server.app_token(plot.app_id), options)
            method = functools.reduce(getattr, path.split("."), svix)
        recorder = Recorder(svix)
        try:
            call(path, method, plot)
            outcome = "done"
        except HttpError as error:
            assert error.status_code == 501 and error.code == "not_implemented", f"{path}: {error}"
            outcome = "501"
        except HTTPValidationError as error:
            pytest.fail(f"{path}: {error}")
        template = template_of(document, recorder.method, recorder.path)
        operation = document["paths"][template][recorder.method.lower()]
        assert ("x-not-implemented" in operation) == (outcome == "501"), path
        found[path] = (recorder.method, template, outcome)
    return found


def operations_beside(document, found):
    """Of the document those that the SDK has no call for."""
    called = {(method, path) for method, path, _ in found.values()}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if (method.upper(), path) not in called:
                outcome = "501" if "x-not-implemented" in operation else "done"
                yield operation["operationId"], method.upper(), path, outcome


def write_table(rows, head):
    lines = [f"| {head} | request | |", "|---|---|---|"]
    lines += [f"| `{name}` | `{method} {path}` | {outcome} |" for name, method, path, outcome in rows]
    return "\n".join(lines)


def write_page(found, document):
    done = sum(outcome == "done" for _, _, outcome in found.values())
    rows = [(name, *found[name]) for name in sorted(found)]
    beside = list(operations_beside(document, found))
    return f"""# What of the API is built

Written by `tests/e2e/test_api_coverage.py`, which calls every operation of the official Python SDK on the real server:
*done* means that the SDK got an answer that its models accept, *501* that the server knows the operation and says
`not_implemented`. `POSTHORN_WRITE_DOCS=1 tests/e2e/run test_api_coverage.py` writes it anew. What each operation takes
and gives stands in `/docs`.

## Operations of the SDK: {done} of {len(found)}
{write_table(rows, "call")}

## Operations beside the SDK
{write_table(beside, "operation")}
"""


def test_the_page_tells_what_the_sdk_can_do(server, api, receiver, document):
    found = call_all(server, api, receiver, document)
    assert len(found) > 140
    page = write_page(found, document)
    if os.environ.get("POSTHORN_WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "docs/api-coverage.md is not what the server does; see above how to write it"
