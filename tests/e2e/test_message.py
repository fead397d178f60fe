# SPDX-License-Identifier: Apache-2.0
"""Messages: creating, listing, getting, and who receives them."""

from datetime import datetime, timedelta, timezone

import pytest
from harness.api import DATE, MSG_ID, is_error, is_invalid, unique

pytestmark = pytest.mark.smoke


@pytest.fixture
def root(app):
    return f"/app/{app['id']}/msg"


def ids(rows):
    return [row["id"] for row in rows["data"]]


def instant(message, delta=0):
    """The message's time, moved by some seconds, as a query parameter."""
    when = datetime.fromisoformat(message["timestamp"][:26].rstrip("Z") + "+00:00") + timedelta(seconds=delta)
    return when.isoformat()


def test_create_with_the_least(api, root):
    message = api.ok("POST", root, {"eventType": "never.registered", "payload": {}}, 202)
    assert MSG_ID.match(message["id"]) and DATE.match(message["timestamp"])
    for key, value in {"eventType": "never.registered", "eventId": None, "payload": {}, "channels": None}.items():
        assert message[key] == value, key
    when = datetime.fromisoformat(message["timestamp"][:19] + "+00:00")
    assert abs((datetime.now(timezone.utc) - when).total_seconds()) < 30


def test_create_with_everything(api, app, root):
    event_id = unique("event")
    body = {
        "eventType": "job.completed",
        "payload": {"runId": "918", "deep": [1, {"a": None}], "ünïcode": "✓"},
        "eventId": event_id,
        "channels": ["prod", "eu"],
        "payloadRetentionPeriod": 30,
        "tags": ["one"],
        "nonsense": True,
    }
    message = api.ok("POST", root, body, 202)
    assert message["payload"] == body["payload"] and message["eventId"] == event_id
    assert sorted(message["channels"]) == ["eu", "prod"]
    by_id = api.ok("GET", f"{root}/{message['id']}")
    for key in ("id", "eventType", "eventId", "payload", "timestamp"):
        assert by_id[key] == message[key], key
    assert api.ok("GET", f"{root}/{event_id}") == by_id
    assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/") == by_id


def test_data_is_the_other_name_of_payload(api, root):
    assert api.ok("POST", root, {"eventType": "a", "data": {"x": 1}}, 202)["payload"] == {"x": 1}


def test_with_content_false(api, root):
    message = api.ok("POST", root, {"eventType": "a", "payload": {"x": 1}}, 202, params={"with_content": "false"})
    assert message["payload"] == {}
    path = f"{root}/{message['id']}"
    assert api.ok("GET", path, params={"with_content": "false"})["payload"] == {}
    assert api.ok("GET", path, params={"with_content": "true"})["payload"] == {"x": 1}
    assert api.ok("GET", path)["payload"] == {"x": 1}
    assert [row["payload"] for row in api.ok("GET", root)["data"]] == [{"x": 1}]
    assert [row["payload"] for row in api.ok("GET", root, params={"with_content": "false"})["data"]] == [{}]


def test_large_numbers_survive_the_echo(api, app, root):
    """The payload is a slice of the request: a JSON library in between would change these."""
    text = b'{"big": 12345678901234567890123, "exp": 1e400, "tail": 1.10}'
    message = api.ok("POST", root, None, 202, content=b'{"eventType": "a", "payload": ' + text + b"}")
    for response in (api.get(f"{root}/{message['id']}"), api.get(root)):
        for number in ("12345678901234567890123", "1e400", "1.10"):
            assert number in response.text


WRONG_SHAPES = {
    "nothing": {},
    "no payload": {"eventType": "a"},
    "no type": {"payload": {}},
    "payload null": {"eventType": "a", "payload": None},
    "payload list": {"eventType": "a", "payload": []},
    "payload text": {"eventType": "a", "payload": "{}"},
    "payload number": {"eventType": "a", "payload": 1},
    "type number": {"eventType": 1, "payload": {}},
    "channels text": {"eventType": "a", "payload": {}, "channels": "a"},
}


@pytest.mark.parametrize("body", WRONG_SHAPES.values(), ids=WRONG_SHAPES.keys())
def test_wrong_shapes(api, root, body):
    is_invalid(api.post(root, body), "body")
    assert api.ok("GET", root)["data"] == []


WRONG_VALUES = {
    "type empty": ({"eventType": ""}, "eventType"),
    "type with a space": ({"eventType": "a b"}, "eventType"),
    "type too long": ({"eventType": "a" * 257}, "eventType"),
    "eventId like an id": ({"eventId": "msg_x"}, "eventId"),
    "eventId with a space": ({"eventId": "a b"}, "eventId"),
    "eventId too long": ({"eventId": "e" * 257}, "eventId"),
    "no channels": ({"channels": []}, "channels"),
    "too many channels": ({"channels": [f"c{n}" for n in range(11)]}, "channels"),
    "a channel with a space": ({"channels": ["a b"]}, "channels"),
    "retention 0": ({"payloadRetentionPeriod": 0}, "payloadRetentionPeriod"),
    "retention 91": ({"payloadRetentionPeriod": 91}, "payloadRetentionPeriod"),
}


@pytest.mark.parametrize("fields, field", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_wrong_values(api, root, fields, field):
    is_invalid(api.post(root, {"eventType": "a", "payload": {}, **fields}), "body", field)


@pytest.mark.parametrize("days", [1, 90])
def test_retention_limits(api, root, days):
    api.ok("POST", root, {"eventType": "a", "payload": {}, "payloadRetentionPeriod": days}, 202)


def test_ten_channels(api, root):
    channels = [f"c{n}" for n in range(10)]
    answer = api.ok("POST", root, {"eventType": "a", "payload": {}, "channels": channels}, 202)
    assert sorted(answer["channels"]) == channels


def test_unknown_application(api):
    for name in ("nobody", "app_" + "0" * 27):
        body = {"eventType": "a", "payload": {}}
        is_error(api.post(f"/app/{name}/msg", body), 404, "not_found", "Application not found")


def test_an_event_id_is_unique_in_its_application(api, app, root):
    event_id = unique("event")
    first = api.send(app, {"n": 1}, eventId=event_id)
    is_error(api.post(root, {"eventType": "a", "payload": {"n": 2}, "eventId": event_id}), 409, "conflict")
    assert ids(api.ok("GET", root)) == [first["id"]]
    assert api.send(api.new_app(), eventId=event_id)["eventId"] == event_id


def test_an_application_made_with_its_first_message(api):
    uid = unique("made")
    body = {"eventType": "a", "payload": {}, "application": {"name": "Made", "uid": uid}}
    message = api.ok("POST", f"/app/{uid}/msg", body, 202)
    assert api.ok("GET", f"/app/{uid}")["name"] == "Made"
    assert ids(api.ok("GET", f"/app/{uid}/msg")) == [message["id"]]
    body["application"]["name"] = "Ignored"
    api.ok("POST", f"/app/{uid}/msg", body, 202)
    assert api.ok("GET", f"/app/{uid}")["name"] == "Made"
    other = {**body, "application": {"name": "x", "uid": unique("other")}}
    is_invalid(api.post(f"/app/{unique('path')}/msg", other), "body", kind="application_uid_mismatch")
    none = {**body, "application": {"name": "x"}}
    is_invalid(api.post(f"/app/{unique('path')}/msg", none), "body", kind="application_uid_missing")


def test_list_is_newest_first(api, app, root):
    made = [api.send(app, {"n": n})["id"] for n in range(5)]
    listed = api.ok("GET", root)
    assert ids(listed) == made[::-1]
    assert listed["done"] is True and listed["iterator"] == made[0] and listed["prevIterator"] == "-" + made[-1]


def test_list_by_event_type(api, app, root):
    by_type = {kind: api.send(app, event_type=kind)["id"] for kind in ("a.one", "a.two", "b")}
    for query in ("event_types=a.one,b", "event_types=a.one&event_types=b", "event_types[]=a.one&event_types[]=b"):
        assert ids(api.ok("GET", f"{root}?{query}")) == [by_type["b"], by_type["a.one"]]
    assert ids(api.ok("GET", f"{root}?event_types[0]=a.two")) == [by_type["a.two"]]
    assert ids(api.ok("GET", f"{root}?event_types=nobody")) == []


def test_list_by_channel(api, app, root):
    one = api.send(app, channels=["one", "two"])["id"]
    api.send(app)
    two = api.send(app, channels=["two"])["id"]
    assert ids(api.ok("GET", root, params={"channel": "one"})) == [one]
    assert ids(api.ok("GET", root, params={"channel": "two"})) == [two, one]
    assert ids(api.ok("GET", root, params={"channel": "three"})) == []


def test_list_by_time(api, app, root):
    message = api.send(app)
    assert ids(api.ok("GET", root, params={"after": instant(message, -5)})) == [message["id"]]
    assert ids(api.ok("GET", root, params={"after": instant(message, 5)})) == []
    assert ids(api.ok("GET", root, params={"before": instant(message, 5)})) == [message["id"]]
    assert ids(api.ok("GET", root, params={"before": instant(message, -5)})) == []
    both = {"after": instant(message, -5), "before": instant(message, 5)}
    assert ids(api.ok("GET", root, params=both)) == [message["id"]]
    # `after` includes the instant itself, to the 4-ms tick of ids.
    assert ids(api.ok("GET", root, params={"after": instant(message)})) == [message["id"]]
    yesterday = (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()
    assert ids(api.ok("GET", root, params={"before": yesterday})) == []
    is_error(api.get(root, params={"after": "yesterday"}), 400, "generic_error")


def test_messages_of_nobody(api, root):
    is_error(api.get(f"{root}/nobody"), 404, "not_found")
    is_error(api.get(f"{root}/msg_{'0' * 27}"), 404, "not_found")
    is_error(api.get("/app/nobody/msg"), 404, "not_found")


def test_applications_keep_their_messages_apart(api, app):
    message = api.send(app, eventId=unique("e"))
    other = api.new_app()
    for name in (message["id"], message["eventId"]):
        is_error(api.get(f"/app/{other['id']}/msg/{name}"), 404, "not_found")


# ---- who receives ----


def test_matching(api, app, receiver, path):
    """One message of each kind; each endpoint gets exactly what it asked for."""
    kind_a, kind_b = (api.new_event_type()["name"] for _ in range(2))
    wants = {
        "all": {},
        "a": {"eventTypes": [kind_a]},
        "ab": {"eventTypes": [kind_a, kind_b]},
        "one": {"channels": ["one"]},
        "a-one": {"eventTypes": [kind_a], "channels": ["one", "three"]},
        "off": {"disabled": True},
    }
    endpoints = {name: api.new_endpoint(app, receiver.url(f"{path}-{name}"), **want) for name, want in wants.items()}
    messages = {
        "a": api.send(app, event_type=kind_a),
        "b": api.send(app, event_type=kind_b),
        "unregistered": api.send(app, event_type="unregistered"),
        "a one": api.send(app, event_type=kind_a, channels=["one", "two"]),
        "b two": api.send(app, event_type=kind_b, channels=["two"]),
    }
    expected = {
        "a": {"all", "a", "ab"},
        "b": {"all", "ab"},
        "unregistered": {"all"},
        "a one": {"all", "a", "ab", "one", "a-one"},
        "b two": {"all", "ab"},
    }
    names = {endpoint["id"]: name for name, endpoint in endpoints.items()}
    for label, message in messages.items():
        for name in expected[label]:
            api.wait_final(app, message, endpoints[name])
        rows = api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/endpoint")["data"]
        assert {names[row["id"]] for row in rows} == expected[label], label
    for name in wants:
        came = sorted(request.message_id for request in receiver.requests(f"{path}-{name}"))
        assert came == sorted(messages[label]["id"] for label in messages if name in expected[label]), name


def test_an_endpoint_gets_what_comes_after_it(api, app, receiver, path):
    """Matching is serialisable with configuration: an endpoint answered 201 gets every later message, a deleted or
    disabled one none."""
    before = api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    during = api.send(app)
    api.wait_final(app, during, endpoint)
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": True})
    disabled = api.send(app)
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": False})
    again = api.send(app)
    api.wait_final(app, again, endpoint)
    api.ok("DELETE", f"/app/{app['id']}/endpoint/{endpoint['id']}", None, 204)
    deleted = api.send(app)
    for message in (before, disabled, deleted):
        assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/endpoint")["data"] == []
    assert [r.message_id for r in receiver.requests(path)] == [during["id"], again["id"]]


def test_many_endpoints_each_get_it_once(api, app, receiver, path):
    endpoints = [api.new_endpoint(app, receiver.url(f"{path}-{n}")) for n in range(20)]
    message = api.send(app)
    for endpoint in endpoints:
        api.wait_final(app, message, endpoint)
    assert [len(receiver.requests(f"{path}-{n}")) for n in range(20)] == [1] * 20


@pytest.mark.breadth
def test_expunge(api, app, root, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app, {"secret": "hush"})
    api.wait_final(app, message, endpoint)
    response = api.delete(f"{root}/{message['id']}/content")
    assert response.status_code == 204 and response.content == b""
    assert api.ok("GET", f"{root}/{message['id']}")["payload"] == {"expired": True}
    is_error(api.post(f"{root}/{message['id']}/endpoint/{endpoint['id']}/resend"), 400, "missing_payload")
