# SPDX-License-Identifier: Apache-2.0
"""Around a message: would anybody get it, an example of it, and what exactly was sent."""

import json

import pytest
from harness.api import SUCCESS, is_error, is_invalid, unique
from harness.receiver import Reply
from harness.wait import net
from svix.api import (
    ApplicationIn,
    EndpointIn,
    EventExampleIn,
    EventTypeIn,
    MessageIn,
    MessagePrecheckIn,
    MessagePrecheckOptions,
    Svix,
    SvixOptions,
)
from svix.api.message import message_in_raw
from svix.exceptions import HttpError

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def svix(server):
    return Svix(server.org_token, SvixOptions(server_url=server.url, timeout=net(30)))


def portal_api(server, api, app, **fields):
    return server.api(api.ok("POST", f"/auth/app-portal-access/{app['id']}", fields)["token"])


# ---- precheck ----


def test_precheck(svix):
    app = svix.application.create(ApplicationIn(name="precheck"))
    for name in ("order.paid", "order.sent"):
        if name not in [row.name for row in svix.event_type.list().data]:
            svix.event_type.create(EventTypeIn(name=name, description=""))

    def active(event_type, channels=None):
        asked = MessagePrecheckIn(event_type=event_type, channels=channels)
        return svix.message.precheck(app.id, asked, MessagePrecheckOptions()).active

    assert not active("order.paid"), "there is no endpoint"
    one = svix.endpoint.create(app.id, EndpointIn(url="http://127.0.0.1:9/", event_types=["order.paid"]))
    assert active("order.paid") and not active("order.sent") and not active("never.registered")
    svix.endpoint.create(app.id, EndpointIn(url="http://127.0.0.1:9/", channels=["a", "b"]))
    assert not active("order.sent") and not active("order.sent", ["c"])
    assert active("order.sent", ["c", "b"]) and active("order.paid", ["c"])
    svix.endpoint.delete(app.id, one.id)
    assert not active("order.paid"), "a deleted endpoint does not count"


def test_a_disabled_endpoint_does_not_count(api, app):
    endpoint = api.new_endpoint(app, "http://127.0.0.1:9/")
    path = f"/app/{app['id']}/msg/precheck/active"
    assert api.ok("POST", path, {"eventType": "a"}) == {"active": True}
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": True})
    assert api.ok("POST", path, {"eventType": "a"}) == {"active": False}


@pytest.mark.parametrize(
    "body, loc",
    [
        ({}, ("eventType",)),
        ({"eventType": ""}, ("eventType",)),
        ({"eventType": "a b"}, ("eventType",)),
        ({"eventType": 1}, ("eventType",)),
        ({"eventType": "a", "channels": []}, ("channels",)),
        ({"eventType": "a", "channels": ["c"] * 11}, ("channels",)),
        ({"eventType": "a", "channels": ["c d"]}, ("channels", "[0]")),
    ],
    ids=str,
)
def test_what_precheck_refuses(api, app, body, loc):
    is_invalid(api.post(f"/app/{app['id']}/msg/precheck/active", body), "body", *loc)


def test_who_may_precheck(server, api, app):
    other = api.new_app()
    viewer = portal_api(server, api, app, readOnly=True)
    assert viewer.ok("POST", f"/app/{app['id']}/msg/precheck/active", {"eventType": "a"}) == {"active": False}
    is_error(viewer.post(f"/app/{other['id']}/msg/precheck/active", {"eventType": "a"}), 404, "not_found")
    is_error(api.post("/app/none/msg/precheck/active", {"eventType": "a"}), 404, "not_found")


# ---- send-example ----

SCHEMA = {
    "2": {"examples": [{"version": 2}]},
    "1": {"type": "object", "examples": [{"n": 1}, {"n": 2.50, "ü": "✓"}, "no object"]},
}


@pytest.fixture(scope="module")
def example_type(api):
    return api.new_event_type(schemas=SCHEMA)["name"]


@pytest.fixture
def endpoint(api, app, receiver, path):
    """An endpoint that wants neither the example's type nor messages without a channel; and a neighbour for all."""
    kind = api.new_event_type()["name"]
    api.new_endpoint(app, receiver.url(path + "-neighbour"))
    return api.new_endpoint(app, receiver.url(path), eventTypes=[kind], channels=["c"])


def test_an_example_goes_to_one_endpoint(svix, api, app, endpoint, receiver, path, example_type):
    message = svix.endpoint.send_example(app["id"], endpoint["id"], EventExampleIn(event_type=example_type))
    assert (message.event_type, message.payload, message.channels) == (example_type, {}, None)
    assert receiver.wait_message(message.id, path)[0].body == b'{"n": 1}'
    assert [row.id for row in svix.message.list(app["id"]).data] == [message.id], "it is a message like others"
    (attempt,) = api.wait_attempts(app, {"id": message.id})
    assert (attempt["endpointId"], attempt["status"], attempt["triggerType"]) == (endpoint["id"], SUCCESS, 0)
    assert receiver.requests(path + "-neighbour") == []
    second = svix.endpoint.send_example(
        app["id"], endpoint["id"], EventExampleIn(event_type=example_type, example_index=1)
    )
    request = receiver.wait_message(second.id, path)[0]
    assert request.body == json.dumps({"n": 2.50, "ü": "✓"}).encode(), "the text of the schema, not written anew"


def test_a_ping(svix, app, endpoint, receiver, path):
    message = svix.endpoint.send_example(app["id"], endpoint["id"], EventExampleIn(event_type="svix.ping"))
    assert receiver.wait_message(message.id, path)[0].body == b'{"success": true}'


def test_an_example_is_tried_again(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    receiver.script(path, Reply(500), Reply(200))
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example"
    message = api.ok("POST", url, {"eventType": "svix.ping"})
    attempts = api.wait_final(app, message, endpoint)
    assert [attempt["responseStatusCode"] for attempt in attempts] == [500, 200]


def test_a_payload_of_the_callers_own(svix, app, endpoint, receiver, path, example_type):
    given = EventExampleIn(event_type=example_type, payload={"mine": True})
    message = svix.endpoint.send_example(app["id"], endpoint["id"], given)
    assert receiver.wait_message(message.id, path)[0].body == b'{"mine":true}'


def test_a_retried_call_makes_one_example(api, app, endpoint, example_type):
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example"
    headers = {"idempotency-key": unique("key")}
    first = api.ok("POST", url, {"eventType": example_type}, headers=headers)
    assert api.ok("POST", url, {"eventType": example_type}, headers=headers) == first
    assert len(api.ok("GET", f"/app/{app['id']}/msg")["data"]) == 1


def test_what_has_no_example(svix, api, app, endpoint):
    without = ({}, {"1": {}}, {"1": {"examples": []}}, {"1": {"examples": ["x"]}}, {"1": True}, {"2": SCHEMA["1"]})
    for schemas in (None, *without):
        kind = api.new_event_type(**({} if schemas is None else {"schemas": schemas}))["name"]
        with pytest.raises(HttpError) as error:
            svix.endpoint.send_example(app["id"], endpoint["id"], EventExampleIn(event_type=kind))
        assert (error.value.status_code, error.value.code) == (400, "invalid_scheme"), schemas
    kind = api.new_event_type(schemas=SCHEMA)["name"]
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example"
    for index in (2, 3, 2**32 - 1):
        body = is_error(api.post(url, {"eventType": kind, "exampleIndex": index}), 400, "invalid_scheme")
        assert f"examples[{index}]" in body["detail"] and kind in body["detail"]
    bare = api.new_event_type("bare." + "x" * 200)["name"]
    detail = is_error(api.post(url, {"eventType": bare}), 400, "invalid_scheme")["detail"]
    assert detail.startswith("event type bare.x") and "no schema" in detail and "`payload`" in detail
    is_error(api.post(url, {"eventType": "never.registered"}), 404, "not_found")
    assert api.ok("GET", f"/app/{app['id']}/msg")["data"] == []


@pytest.mark.parametrize(
    "body, loc",
    [
        ({}, ("eventType",)),
        ({"eventType": "a b"}, ("eventType",)),
        ({"eventType": "a", "exampleIndex": -1}, ("exampleIndex",)),
        ({"eventType": "a", "exampleIndex": "0"}, ("exampleIndex",)),
        ({"eventType": "a", "payload": []}, ("payload",)),
    ],
    ids=str,
)
def test_what_send_example_refuses(api, app, endpoint, body, loc):
    is_invalid(api.post(f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example", body), "body", *loc)


def test_who_may_send_an_example(server, api, app, endpoint):
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example"
    hidden = api.new_event_type(schemas=SCHEMA, featureFlag="beta")["name"]
    own = portal_api(server, api, app)
    assert own.ok("POST", url, {"eventType": "svix.ping"})["eventType"] == "svix.ping"
    is_error(own.post(url, {"eventType": hidden}), 404, "not_found")
    flagged = portal_api(server, api, app, featureFlags=["beta"])
    assert flagged.ok("POST", url, {"eventType": hidden})["eventType"] == hidden
    viewer = portal_api(server, api, app, readOnly=True)
    is_error(viewer.post(url, {"eventType": "svix.ping"}), 403, "insufficient access")
    neighbour = portal_api(server, api, api.new_app())
    is_error(neighbour.post(url, {"eventType": "svix.ping"}), 404, "not_found")
    is_error(api.post(f"/app/{app['id']}/endpoint/none/send-example", {"eventType": "svix.ping"}), 404, "not_found")


def test_a_disabled_endpoint_gets_no_example(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), disabled=True)
    message = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example", {"eventType": "svix.ping"})
    assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/endpoint")["data"] == []


# ---- the payload as it is ----


def test_the_raw_payload_is_what_was_published(api, app):
    text = b'{ "b" : 1.10,\n\t"a": 12345678901234567890123, "\\u00fc": "\\u2713", "b": 2 }'
    message = api.send_text(app, text)
    assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/raw") == {"payload": text.decode()}


def test_the_raw_payload_of_a_raw_message(svix, api, app):
    message = svix.message.create(app["id"], message_in_raw("raw.type", "just <text> \0 and \U0001f600"))
    assert api.ok("GET", f"/app/{app['id']}/msg/{message.id}/raw") == {"payload": "just <text> \0 and \U0001f600"}


def test_a_raw_payload_that_is_gone(svix, server, api, app):
    event_id = unique("event")
    message = svix.message.create(app["id"], MessageIn(event_type="a", payload={"x": 1}, event_id=event_id))
    url = f"/app/{app['id']}/msg/{event_id}/raw"
    assert api.ok("GET", url) == {"payload": '{"x":1}'}
    assert portal_api(server, api, app, readOnly=True).ok("GET", url) == {"payload": '{"x":1}'}
    is_error(portal_api(server, api, api.new_app()).get(url), 404, "not_found")
    svix.message.expunge_content(app["id"], message.id)
    is_error(api.get(url), 404, "not_found")
    is_error(api.get(f"/app/{app['id']}/msg/none/raw"), 404, "not_found")
