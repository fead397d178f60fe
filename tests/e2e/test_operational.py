# SPDX-License-Identifier: Apache-2.0
"""Operational webhooks: what happens to an organisation's endpoints and deliveries is told to the organisation, on
endpoints that it manages through the official Python SDK."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from harness.api import ATTEMPT_ID, DATE, MSG_ID, is_error, is_invalid, unique
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SLOWNESS, net, wait_for
from svix.api import ApplicationIn, EndpointHeadersIn, EndpointIn, EndpointPatch, EndpointSecretRotateIn
from svix.api import MessageIn, Svix, SvixOptions
from svix.api.operational_webhook_endpoint import OperationalWebhookEndpointListOptions as Options
from svix.exceptions import HttpError, HTTPValidationError
from svix.models import (
    EndpointUpsertIn,
    Ordering,
    OperationalWebhookEndpointHeadersIn,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
)
from svix.webhooks import Webhook

MANAGEMENT = "org_00000000000SvixManagement00"
ROOT = "/operational-webhook/endpoint"
TYPES = [
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.updated",
    "message.attempt.exhausted",
    "message.attempt.failing",
    "message.attempt.recovered",
]


@pytest.fixture(scope="module")
def server():
    """Six attempts, and an endpoint is disabled after 0.4 s of nothing but failures."""
    settings = {
        "retry_schedule": "0.02,0.02,0.02,0.02,0.3",
        "endpoint_failure_disable_after": 0.4 * SLOWNESS / 3600,
        "breaker_min_attempts": 0,
    }
    with Server(settings) as running:
        yield running


@pytest.fixture
def svix(server, org):
    """The SDK in a new organisation."""
    return Svix(org.token, SvixOptions(server_url=server.url, timeout=net(30)))


@pytest.fixture
def hooks(svix):
    return svix.operational_webhook.endpoint


class Ear:
    """An operational endpoint and what it was told, each with its signature verified."""

    def __init__(self, hooks, receiver, **fields):
        self.receiver, self.path = receiver, "/" + unique("ear")
        self.endpoint = hooks.create(OperationalWebhookEndpointIn(url=receiver.url(self.path), **fields))
        self.key = hooks.get_secret(self.endpoint.id).key

    def heard(self):
        bodies = []
        for request in self.receiver.requests(self.path):
            Webhook(self.key).verify(request.body, request.header_map)
            body = json.loads(request.body)
            assert list(body) == ["type", "data"]
            bodies.append(body)
        return bodies

    def wait(self, count):
        wait_for(lambda: len(self.heard()) >= count, 20, lambda: f"{count} events; there are {self.heard()}")
        return self.heard()

    def types(self):
        return sorted(body["type"] for body in self.heard())


@pytest.fixture
def ear(hooks, receiver):
    return Ear(hooks, receiver)


@pytest.fixture
def sdk_app(svix):
    return svix.application.create(ApplicationIn(name="told", uid="told"))


def names(app, endpoint, uid=None):
    return {"appId": app.id, "appUid": "told", "endpointId": endpoint.id, "endpointUid": uid}


def test_endpoints_come_change_and_go(svix, sdk_app, ear, receiver, path):
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path), uid="one"))
    svix.endpoint.patch(sdk_app.id, endpoint.id, EndpointPatch(description="x"))
    svix.endpoint.upsert(sdk_app.id, endpoint.id, EndpointUpsertIn(url=receiver.url(path), uid="one"))
    svix.endpoint.rotate_secret(sdk_app.id, endpoint.id, EndpointSecretRotateIn())
    svix.endpoint.set_headers(sdk_app.id, endpoint.id, EndpointHeadersIn(headers={"x-a": "b"}))
    other = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    svix.endpoint.delete(sdk_app.id, endpoint.id)
    heard = ear.wait(6)
    expected = [("endpoint.created", names(sdk_app, endpoint, "one"))]
    expected += [("endpoint.updated", names(sdk_app, endpoint, "one"))] * 3
    expected += [("endpoint.created", names(sdk_app, other)), ("endpoint.deleted", names(sdk_app, endpoint, "one"))]
    assert sorted((body["type"], sorted(body["data"].items(), key=str)) for body in heard) == sorted(
        (kind, sorted(data.items(), key=str)) for kind, data in expected
    )


def test_refused_changes_are_not_told(svix, sdk_app, ear, receiver, path):
    svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path), uid="taken"))
    with pytest.raises(HttpError):
        svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path), uid="taken"))
    with pytest.raises(HttpError):
        svix.endpoint.delete(sdk_app.id, "ep_" + "0" * 27)
    svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path), uid="last"))
    assert {body["data"]["endpointUid"] for body in ear.wait(2)} == {"taken", "last"} and len(ear.heard()) == 2


def check_attempt(svix, sdk_app, endpoint, message, body, number, status):
    """Attempts are counted from the first."""
    data = body["data"]
    attempts = svix.message_attempt.list_by_msg(sdk_app.id, message.id).data[::-1]
    assert set(data) == {"appId", "appUid", "msgId", "msgEventId", "endpointId", "lastAttempt"}
    assert (data["appId"], data["appUid"]) == (sdk_app.id, "told")
    assert MSG_ID.match(data["msgId"]) and data["msgId"] == message.id and data["msgEventId"] == message.event_id
    assert data["endpointId"] == endpoint.id
    last = data["lastAttempt"]
    assert set(last) == {"id", "responseStatusCode", "timestamp"}
    assert ATTEMPT_ID.match(last["id"]) and DATE.match(last["timestamp"])
    assert last["id"] == attempts[number - 1].id and last["responseStatusCode"] == status


def test_failing_then_recovered(svix, sdk_app, hooks, receiver, path):
    ear = Ear(hooks, receiver, event_types=["message.attempt.failing", "message.attempt.recovered"])
    receiver.script(path, *[Reply(500)] * 3, Reply(503), Reply(200))
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={}, event_id="e-1"))
    failing, recovered = sorted(ear.wait(2), key=lambda body: body["type"])
    assert (failing["type"], recovered["type"]) == ("message.attempt.failing", "message.attempt.recovered")
    check_attempt(svix, sdk_app, endpoint, message, failing, 4, 503)
    check_attempt(svix, sdk_app, endpoint, message, recovered, 5, 200)


def test_exhausted_and_disabled(svix, sdk_app, ear, receiver, path):
    """The last attempt comes so late that the endpoint has failed for too long by then."""
    receiver.script(path, Reply(500))
    began = datetime.now(timezone.utc)
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    messages = [svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={})) for _ in range(2)]
    wait_for(lambda: svix.endpoint.get(sdk_app.id, endpoint.id).disabled or keep_failing(svix, sdk_app), 30, "the end")
    wait_for(lambda: "endpoint.disabled" in ear.types(), 20, lambda: f"the end to be told: {ear.types()}")
    assert ear.types().count("endpoint.disabled") == 1
    (disabled,) = [body["data"] for body in ear.heard() if body["type"] == "endpoint.disabled"]
    since = disabled.pop("failSince")
    assert disabled == names(sdk_app, endpoint) and DATE.match(since)
    since = datetime.fromisoformat(since[:19] + "+00:00")
    assert began - timedelta(seconds=2) < since < datetime.now(timezone.utc)
    exhausted = [body for body in ear.heard() if body["type"] == "message.attempt.exhausted"]
    assert len({body["data"]["msgId"] for body in exhausted}) == len(exhausted)
    for body in exhausted:
        if body["data"]["msgId"] == messages[0].id:
            check_attempt(svix, sdk_app, endpoint, messages[0], body, 6, 500)


def keep_failing(svix, app):
    """Another message to an endpoint that fails for long enough only if somebody goes on."""
    svix.message.create(app.id, MessageIn(event_type="a", payload={}))
    return False


def test_gone_is_told_at_once(svix, sdk_app, ear, receiver, path):
    receiver.script(path, Reply(410))
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={}))
    ear.wait(3)
    assert ear.types() == ["endpoint.created", "endpoint.disabled", "message.attempt.exhausted"]
    (exhausted,) = [body for body in ear.heard() if body["type"] == "message.attempt.exhausted"]
    check_attempt(svix, sdk_app, endpoint, message, exhausted, 1, 410)


def test_only_what_was_asked_for(svix, sdk_app, hooks, receiver, path):
    ear = Ear(hooks, receiver, event_types=["endpoint.deleted"])
    deaf = Ear(hooks, receiver, disabled=True)
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    svix.endpoint.delete(sdk_app.id, endpoint.id)
    assert [body["type"] for body in ear.wait(1)] == ["endpoint.deleted"]
    assert deaf.heard() == []
    with pytest.raises(HTTPValidationError):
        hooks.create(OperationalWebhookEndpointIn(url=receiver.url(path), event_types=["endpoint.exploded"]))


def test_each_organisation_hears_of_itself(server, svix, sdk_app, ear, receiver, path):
    other = server.api(server.jwt("org_" + unique("other").replace("-", "").rjust(27, "0")))
    app = other.new_app()
    other.new_endpoint(app, receiver.url(path))
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    (body,) = ear.wait(1)
    assert body["data"]["endpointId"] == endpoint.id


def test_nothing_is_told_about_the_telling(server, svix, sdk_app, hooks, receiver, path):
    """An operational endpoint that fails, changes and goes causes no event, nor do those of the management's own."""
    management = server.api(server.jwt(MANAGEMENT))
    mirror = "/" + unique("mirror")
    management.ok("POST", ROOT, {"url": receiver.url(mirror)}, 201)
    failing = Ear(hooks, receiver)
    receiver.script(failing.path, Reply(410))
    ear = Ear(hooks, receiver)
    endpoint = svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    wait_for(lambda: hooks.get(failing.endpoint.id).disabled, 10, "the failing one to be disabled")
    hooks.delete(failing.endpoint.id)
    svix.endpoint.delete(sdk_app.id, endpoint.id)
    ear.wait(2)
    assert ear.types() == ["endpoint.created", "endpoint.deleted"]
    assert receiver.requests(mirror) == []


def test_without_anybody_to_tell_nothing_is_stored(server, receiver, path):
    with Server() as fresh:
        api = fresh.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        api.ok("DELETE", f"/app/{app['id']}/endpoint/{endpoint['id']}", None, 204)
        management = fresh.api(fresh.jwt(MANAGEMENT))
        assert management.ok("GET", "/app")["data"] == []
        assert management.ok("GET", "/event-type")["data"] == []
        # Reading makes nothing either.
        assert api.ok("GET", ROOT) == {"data": [], "iterator": None, "done": True}
        is_error(api.get(f"{ROOT}/ep_" + "0" * 27), 404, "not_found")
        assert management.ok("GET", "/app")["data"] == []
        api.ok("POST", ROOT, {"url": receiver.url(path)}, 201)
        (made,) = management.ok("GET", "/app")["data"]
        assert made["uid"].startswith("org_") and made["uid"] != MANAGEMENT
        assert [row["name"] for row in management.ok("GET", "/event-type")["data"]] == TYPES


def test_the_catalogue_comes_with_an_application_made_by_hand(server, receiver):
    """As with the original server, where the application is made by the management's token."""
    with Server() as fresh:
        management = fresh.api(fresh.jwt(MANAGEMENT))
        api = fresh.api()
        app = api.new_app()
        uid = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
        recipient = management.ok("POST", "/app", {"name": "told", "uid": uid}, 201)
        path = "/" + unique("ear")
        management.new_endpoint(recipient, receiver.url(path), eventTypes=["endpoint.created"])
        api.new_endpoint(app, receiver.url())
        receiver.wait(path, 1)
        listed = api.ok("GET", ROOT)["data"]
        assert [row["url"] for row in listed] == [receiver.url(path)]


# ---- the operations ----


def test_life_of_an_endpoint(hooks, receiver):
    made = hooks.create(
        OperationalWebhookEndpointIn(
            url=receiver.url("/a"),
            description="d",
            uid="ops",
            throttle_rate=9,
            event_types=["endpoint.created"],
            metadata={"k": "v"},
            headers={"X-Custom": "c", "Authorization": "secret"},
        )
    )
    assert made.url == receiver.url("/a") and made.description == "d" and made.uid == "ops" and made.disabled is False
    assert made.throttle_rate == 9 and made.event_types == ["endpoint.created"] and made.metadata == {"k": "v"}
    assert hooks.get("ops") == hooks.get(made.id) == made
    headers = hooks.get_headers(made.id)
    assert headers.headers == {"X-Custom": "c"} and headers.sensitive == ["Authorization"]
    hooks.set_headers(made.id, OperationalWebhookEndpointHeadersIn(headers={"X-Other": "o"}))
    assert hooks.get_headers(made.id).headers == {"X-Other": "o"}
    changed = hooks.upsert("ops", OperationalWebhookEndpointUpsertIn(url=receiver.url("/b"), uid="ops"))
    assert changed.id == made.id and changed.url == receiver.url("/b") and changed.event_types is None
    assert hooks.get_headers(made.id).headers == {"X-Other": "o"}
    second = hooks.upsert("no-such", OperationalWebhookEndpointUpsertIn(url=receiver.url("/c")))
    listed = hooks.list()
    assert [row.id for row in listed.data] == [second.id, made.id] and listed.done
    hooks.delete("ops")
    assert [row.id for row in hooks.list().data] == [second.id]
    with pytest.raises(HttpError) as caught:
        hooks.get(made.id)
    assert caught.value.status_code == 404


def test_pages(hooks, receiver):
    made = [hooks.create(OperationalWebhookEndpointIn(url=receiver.url(f"/{n}"))).id for n in range(5)]
    first = hooks.list(Options(limit=3, order=Ordering.ASCENDING))
    second = hooks.list(Options(limit=3, order=Ordering.ASCENDING, iterator=first.iterator))
    assert [row.id for row in first.data + second.data] == made and not first.done and second.done


def test_a_rotated_secret(svix, sdk_app, hooks, ear, receiver, path):
    """Both keys sign for a while."""
    old = ear.key
    hooks.rotate_secret(ear.endpoint.id, OperationalWebhookEndpointSecretIn())
    ear.key = hooks.get_secret(ear.endpoint.id).key
    assert ear.key != old
    svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))
    ear.wait(1)
    ear.key = old
    assert len(ear.heard()) == 1


def test_answers_as_described(org, receiver):
    body = {"url": receiver.url("/x"), "channels": ["c"], "version": 3, "timeoutMs": 5}
    made = org.ok("POST", ROOT, body, 201)
    members = "id url description uid eventTypes disabled throttleRate rateLimit metadata createdAt updatedAt"
    assert set(made) == set(members.split())
    assert org.put(f"{ROOT}/{made['id']}", {"url": receiver.url("/y")}).status_code == 200
    assert org.put(f"{ROOT}/other", {"url": receiver.url("/y")}).status_code == 200
    assert org.post(f"{ROOT}/{made['id']}/secret/rotate", {}).status_code == 204
    assert org.put(f"{ROOT}/{made['id']}/headers", {"headers": {}}).status_code == 204
    is_invalid(org.post(ROOT, {"description": "no url"}), "body", "url")
    is_invalid(org.post(ROOT, {"url": receiver.url("/x"), "eventTypes": []}), "body", "eventTypes")
    assert org.delete(f"{ROOT}/{made['id']}").status_code == 204


def test_an_applications_token_may_not(server, org, receiver):
    app = org.new_app()
    token = org.ok("POST", f"/auth/app-portal-access/{app['id']}", {})["token"]
    for method, path in (("GET", ROOT), ("POST", ROOT), ("GET", ROOT + "/x/secret")):
        is_error(server.api(token).request(method, path, {} if method == "POST" else None), 403, "insufficient access")
