# SPDX-License-Identifier: Apache-2.0
"""Explain: for each endpoint of an application, why it got a message or did not. Every decision and every reason comes
about by the real thing: receivers that fail, breakers that open, throttles that hold back."""

import datetime
import threading

import pytest
from harness.api import DATE, SUCCESS, is_error, is_invalid
from harness.receiver import Reply
from harness.server import Server
from harness.wait import wait_for

MEMBERS = {"endpointId", "endpointUid", "endpointUrl", "endpointDeleted", "decision", "reason", "detail",
           "changedSince", "attempts", "resends", "nextAttempt", "waitsFor", "lastAttempt"}


def later(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def patch(api, app, endpoint, **fields):
    return api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", fields)


# ---- delivered, failed ----


@pytest.mark.smoke
def test_delivered(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), uid="mine")
    message = api.send(app, channels=["a"])
    api.wait_final(app, message, endpoint)
    whole = api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/explain")
    assert (whole["messageId"], whole["eventType"], whole["channels"]) == (message["id"], "test.event", ["a"])
    assert whole["timestamp"] == message["timestamp"] and whole["done"] is True
    (row,) = whole["data"]
    assert set(row) == MEMBERS
    assert (row["endpointId"], row["endpointUid"], row["endpointUrl"]) == (endpoint["id"], "mine", receiver.url(path))
    assert (row["decision"], row["reason"], row["attempts"], row["nextAttempt"]) == ("delivered", None, 1, None)
    assert row["endpointDeleted"] is False and row["changedSince"] is False and row["waitsFor"] is None
    last = row["lastAttempt"]
    (attempt,) = api.attempts(app, message)
    assert set(last) == {"id", "timestamp", "status", "statusText", "responseStatusCode", "triggerType", "response"}
    assert last == {name: attempt[name] for name in last}
    assert last["status"] == SUCCESS and "204" in row["detail"]


def test_delivered_in_the_end(api, app, receiver, path):
    receiver.script(path, Reply(500), Reply(503), Reply(200))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[0.05, 0.05])
    message = api.send(app)
    row = api.wait_explained(app, message, endpoint, "delivered", None)
    assert row["attempts"] == 3 and "3 attempts" in row["detail"]


def test_failed(api, app, receiver, path):
    receiver.script(path, Reply(500, body=b"no " + b"\xc3\xa9" * 300))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[0.05])
    row = api.wait_explained(app, api.send(app), endpoint, "failed", None)
    assert row["attempts"] == 2 and "500" in row["detail"] and "2 attempts" in row["detail"]
    # 500 bytes of the answer; one character was cut in the middle.
    assert row["lastAttempt"]["response"] == "no " + "é" * 248 and row["lastAttempt"]["statusText"] == "fail"


def test_failed_without_an_answer(api, app):
    endpoint = api.new_endpoint(app, "http://127.0.0.1:1/", retrySchedule=[])
    row = api.wait_explained(app, api.send(app), endpoint, "failed", None)
    assert row["lastAttempt"]["responseStatusCode"] == 0
    assert row["lastAttempt"]["response"] in row["detail"] and "no answer" in row["detail"]


@pytest.mark.parametrize("reply", [Reply(410), Reply(400, headers=[("webhook-delivery", "abort-message")])],
                         ids=["gone", "abort-message"])
def test_the_receiver_asked_to_stop(api, app, receiver, path, reply):
    receiver.script(path, reply)
    endpoint = api.new_endpoint(app, receiver.url(path))
    row = api.wait_explained(app, api.send(app), endpoint, "failed", "aborted")
    assert row["attempts"] == 1 and str(reply.status) in row["detail"] and "no more" in row["detail"]


# ---- skipped ----


@pytest.mark.smoke
def test_other_event_types(api, app, receiver, path):
    for name in ("a.one", "a.two"):
        api.post("/event-type", {"name": name, "description": "d"})
    endpoint = api.new_endpoint(app, receiver.url(path), eventTypes=["a.one", "a.two"])
    row = api.explain(app, api.send(app))[endpoint["id"]]
    assert (row["decision"], row["reason"], row["changedSince"]) == ("skipped", "event_type", False)
    assert row["detail"] == "its event types are a.one, a.two"
    assert row["attempts"] == 0 and row["lastAttempt"] is None


def test_event_types_that_were_changed_since(api, app, receiver, path):
    names = [f"b.t{number}" for number in range(8)]
    for name in names:
        api.post("/event-type", {"name": name, "description": "d"})
    delivered = api.new_endpoint(app, receiver.url(path))
    endpoint = api.new_endpoint(app, receiver.url(path), channels=["x"])
    message = api.send(app)
    api.wait_final(app, message, delivered)
    patch(api, app, endpoint, eventTypes=names, channels=None)
    patch(api, app, delivered, eventTypes=names)
    rows = api.explain(app, message)
    row = rows[endpoint["id"]]
    assert (row["decision"], row["reason"], row["changedSince"]) == ("skipped", "event_type", True)
    assert "are now b.t0, b.t1, b.t2, b.t3, b.t4 and 3 more" in row["detail"]
    assert "changed after the message" in row["detail"]
    # What was delivered stays delivered, whatever it wants now.
    row = rows[delivered["id"]]
    assert (row["decision"], row["reason"], row["changedSince"]) == ("delivered", None, True)
    # As it is now it would get it: then it must have been otherwise.
    patch(api, app, endpoint, eventTypes=None)
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"]) == ("skipped", "changed")
    assert "changed after" in row["detail"] and "did not want it then" in row["detail"]


def test_other_channels(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), channels=["red", "blue"])
    row = api.explain(app, api.send(app, channels=["green"]))[endpoint["id"]]
    assert (row["decision"], row["reason"]) == ("skipped", "channel")
    assert row["detail"] == "its channels are blue, red, those of the message: green" or \
        row["detail"] == "its channels are red, blue, those of the message: green"
    row = api.explain(app, api.send(app))[endpoint["id"]]
    assert row["reason"] == "channel" and row["detail"].endswith("those of the message: none")


@pytest.mark.parametrize("fields, word", [({"filter": "false"}, "filter"), ({"transform": "null"}, "transform"),
                                          ({"filter": "true", "transform": "null"}, "filter or transform")])
def test_its_program_said_no(api, app, receiver, path, fields, word):
    endpoint = api.new_endpoint(app, receiver.url(path), **fields)
    message = api.send(app)
    row = api.wait_explained(app, message, endpoint, "skipped", "filter")
    assert row["detail"] == f"the endpoint's {word} did not want it" and row["attempts"] == 0
    patch(api, app, endpoint, filter=None, transform=None)
    row = api.explain(app, message)[endpoint["id"]]
    assert row["reason"] == "filter" and "changed after the message" in row["detail"]


def test_disabled(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), disabled=True)
    message = api.send(app)
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"], row["detail"]) == ("skipped", "disabled", "the endpoint is disabled")
    patch(api, app, endpoint, description="changed")
    row = api.explain(app, message)[endpoint["id"]]
    assert row["reason"] == "disabled" and "changed after the message" in row["detail"]


def test_disabled_before_it_could_be_delivered(api, app, receiver, path):
    receiver.script(path, Reply(500))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[600])
    message = api.send(app)
    api.wait_explained(app, message, endpoint, "pending", "retry")
    patch(api, app, endpoint, disabled=True)
    row = api.wait_explained(app, message, endpoint, "skipped", "disabled")
    assert "was disabled before" in row["detail"] and "500" in row["detail"] and row["attempts"] == 1
    patch(api, app, endpoint, disabled=False)
    row = api.wait_explained(app, message, endpoint, "skipped", "disabled")
    assert "enabled again" in row["detail"]


def test_created_later(api, app, receiver, path):
    message = api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"], row["changedSince"]) == ("skipped", "created_later", False)
    # Also when there would be other reasons.
    patch(api, app, endpoint, disabled=True)
    assert api.explain(app, message)[endpoint["id"]]["reason"] == "created_later"


def test_the_payload_was_deleted(api, app, receiver, path):
    receiver.script(path, Reply(500))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[600])
    message = api.send(app)
    api.wait_explained(app, message, endpoint, "pending", "retry")
    api.ok("DELETE", f"/app/{app['id']}/msg/{message['id']}/content", status=204)
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"]) == ("skipped", "expunged") and "deleted" in row["detail"]


def test_an_example_is_for_one_endpoint(api, app, receiver, path):
    target = api.new_endpoint(app, receiver.url(path))
    other = api.new_endpoint(app, receiver.url(path))
    api.post("/event-type", {"name": "c.example", "description": "d"})
    body = {"eventType": "c.example", "payload": {"n": 1}}
    message = api.ok("POST", f"/app/{app['id']}/endpoint/{target['id']}/send-example", body)
    api.wait_explained(app, message, target, "delivered", None)
    row = api.explain(app, message)[other["id"]]
    assert (row["decision"], row["reason"]) == ("skipped", None) and "another endpoint" in row["detail"]


# ---- pending ----


def test_a_retry_is_due(api, app, receiver, path):
    receiver.script(path, Reply(503))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[600])
    message = api.send(app)
    row = api.wait_explained(app, message, endpoint, "pending", "retry")
    assert row["attempts"] == 1 and "503" in row["detail"]
    assert DATE.match(row["nextAttempt"]) and row["nextAttempt"] in row["detail"]
    assert row["nextAttempt"][:23] == api.destination(app, message, endpoint)["nextAttempt"][:23]


def test_not_yet(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app, deliverAt=later(600))
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"]) == ("pending", "deliver_at")
    assert row["nextAttempt"][:19] == message["deliverAt"][:19] and row["nextAttempt"] in row["detail"]


def test_being_sent(api, app, receiver, path):
    end = threading.Event()
    receiver.script(path, Reply(hold=end))
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    receiver.wait_message(message["id"], path)
    row = api.explain(app, message)[endpoint["id"]]
    assert (row["decision"], row["reason"], row["attempts"]) == ("pending", None, 0) and "sent" in row["detail"]
    end.set()
    api.wait_explained(app, message, endpoint, "delivered", None)


@pytest.mark.parametrize("ordering", ["endpoint", "key"])
def test_its_turn_has_not_come(api, app, receiver, path, ordering):
    receiver.script(path, Reply(500))
    endpoint = api.new_endpoint(app, receiver.url(path), ordering=ordering, retrySchedule=[600])
    first, second, third = [api.send(app, orderingKey="k") for _ in range(3)]
    for message in (second, third):
        row = api.wait_explained(app, message, endpoint, "pending", "order")
        assert row["waitsFor"] == first["id"] and first["id"] in row["detail"] and row["nextAttempt"] is None
    row = api.wait_explained(app, first, endpoint, "pending", "retry")
    assert row["waitsFor"] is None


@pytest.mark.parametrize("whose", ["endpoint", "application"])
def test_throttled(api, receiver, path, whose):
    app = api.new_app(**({"throttleRate": 1} if whose == "application" else {}))
    fields = {"throttleRate": 1} if whose == "endpoint" else {}
    endpoint = api.new_endpoint(app, receiver.url(path), **fields)
    messages = [api.send(app) for _ in range(30)]
    row = api.wait_explained(app, messages[-1], endpoint, "pending", "throttled")
    assert "throttleRate" in row["detail"] and whose in row["detail"] and row["attempts"] == 0
    patch(api, app, endpoint, disabled=True)
    api.wait_explained(app, messages[-1], endpoint, "skipped", "disabled")


def test_the_breaker(receiver, path):
    settings = {"retry_schedule": "0.01,300", "breaker_min_attempts": "1", "breaker_open": "300"}
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        row = api.wait_explained(app, message, endpoint, "pending", "breaker")
        assert "breaker is open" in row["detail"] and "503" in row["detail"] and row["attempts"] == 1
        # One that was never tried waits for the same.
        row = api.wait_explained(app, api.send(app), endpoint, "pending", "breaker")
        assert row["attempts"] == 0 and " at 2" in row["detail"]
        # A resend gets through, the breaker closes, and nothing is held any more.
        receiver.script(path, Reply(200))
        api.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
        row = api.wait_explained(app, message, endpoint, "delivered", None)
        assert row["attempts"] >= 2


def test_a_probe_is_under_way(receiver, path):
    settings = {"retry_schedule": "", "breaker_min_attempts": "1", "breaker_open": "0.2"}
    end = threading.Event()
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503), Reply(hold=end))
        endpoint = api.new_endpoint(app, receiver.url(path))
        api.wait_explained(app, api.send(app), endpoint, "failed", None)
        probe, waiting = api.send(app), api.send(app)
        receiver.wait_message(probe["id"], path)
        row = api.wait_explained(app, waiting, endpoint, "pending", "breaker")
        assert "probes it is under way" in row["detail"]
        row = api.explain(app, probe)[endpoint["id"]]
        assert (row["decision"], row["attempts"]) == ("pending", 0)
        end.set()
        for message in (probe, waiting):
            api.wait_explained(app, message, endpoint, "delivered", None)


def test_given_up_behind_the_breaker(receiver, path):
    settings = {"retry_schedule": "1", "retry_jitter": "0", "breaker_min_attempts": "1", "breaker_open": "1"}
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        messages = [api.send(app) for _ in range(12)]
        rows = lambda: [api.explain(app, m)[endpoint["id"]] for m in messages]  # noqa: E731
        found = wait_for(lambda: [r for r in rows() if (r["decision"], r["reason"]) == ("failed", "breaker")], 30)
        assert "circuit breaker" in found[0]["detail"]


# ---- by hand ----


def test_sent_by_hand(api, app, receiver, path):
    message = api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    resend = f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend"
    end = threading.Event()
    receiver.script(path, Reply(500, hold=end), Reply(200))
    api.ok("POST", resend, {}, 202)
    row = api.wait_explained(app, message, endpoint, "pending", None)
    end.set()
    assert row["resends"] == 1 and row["nextAttempt"] is None and "resend" in row["detail"]
    row = api.wait_explained(app, message, endpoint, "failed", None)
    assert row["resends"] == 0
    assert "by hand" in row["detail"] and "500" in row["detail"] and row["lastAttempt"]["triggerType"] == 1
    api.ok("POST", resend, {}, 202)
    row = api.wait_explained(app, message, endpoint, "delivered", None)
    assert "by hand" in row["detail"] and row["attempts"] == 2


# ---- which endpoints, pages ----


def test_deleted_endpoints(api, app, receiver, path):
    endpoints = [api.new_endpoint(app, receiver.url(path), channels=channels) for channels in (None, ["x"], ["x"])]
    got, never, resent = endpoints
    message = api.send(app)
    api.wait_final(app, message, got)
    api.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{resent['id']}/resend", {}, 202)
    api.wait_explained(app, message, resent, "delivered", None)
    for endpoint in endpoints:
        api.ok("DELETE", f"/app/{app['id']}/endpoint/{endpoint['id']}", status=204)
    rows = api.explain(app, message)
    assert set(rows) == {got["id"], resent["id"]}
    assert all(row["endpointDeleted"] and row["decision"] == "delivered" for row in rows.values())
    # Asked for by name, the one that never had to do with it is explained too.
    row = api.explain(app, message, endpoint_id=never["id"])[never["id"]]
    assert (row["decision"], row["reason"], row["endpointDeleted"]) == ("skipped", "disabled", True)
    assert "deleted" in row["detail"]


def test_one_endpoint(api, app, receiver, path):
    first = api.new_endpoint(app, receiver.url(path), uid="first")
    second = api.new_endpoint(app, receiver.url(path))
    message = api.send(app, eventId="mine")
    assert set(api.explain(app, message, endpoint_id="first")) == {first["id"]}
    assert set(api.explain(app, message, endpoint_id=second["id"])) == {second["id"]}
    assert set(api.explain(app, {"id": "mine"})) == {first["id"], second["id"]}
    base = f"/app/{app['id']}/msg/{message['id']}/explain"
    is_error(api.get(base, params={"endpoint_id": "nobody"}), 404, "not_found")
    other = api.new_endpoint(api.new_app(), receiver.url(path))
    is_error(api.get(base, params={"endpoint_id": other["id"]}), 404, "not_found")


def test_pages(api, app):
    endpoints = [api.new_endpoint(app, "http://127.0.0.1:9/", disabled=True)["id"] for _ in range(7)]
    message = api.send(app)
    base = f"/app/{app['id']}/msg/{message['id']}/explain"
    for order, wanted in (("ascending", endpoints), ("descending", endpoints[::-1])):
        seen, iterator, done = [], None, False
        while not done:
            params = {"limit": 3, "order": order, **({"iterator": iterator} if iterator else {})}
            page = api.ok("GET", base, params=params)
            assert len(page["data"]) <= 3 and page["messageId"] == message["id"]
            seen += [row["endpointId"] for row in page["data"]]
            iterator, done = page["iterator"], page["done"]
        assert seen == wanted
    back = api.ok("GET", base, params={"limit": 3, "iterator": page["prevIterator"], "order": "descending"})
    assert [row["endpointId"] for row in back["data"]] == endpoints[::-1][3:6]
    is_invalid(api.get(base, params={"limit": 251}), "query", "limit")
    is_invalid(api.get(base, params={"iterator": "nonsense"}), "query", "iterator")


def test_who_may(server, api, app):
    other = api.new_app()
    message = api.send(app)
    base = f"/app/{app['id']}/msg/{message['id']}/explain"
    assert server.api(server.app_token(app["id"])).ok("GET", base)["data"] == []
    is_error(server.api(server.app_token(other["id"])).get(base), 404, "not_found")
    is_error(api.get(f"/app/{other['id']}/msg/{message['id']}/explain"), 404, "not_found")
    is_error(api.get(f"/app/{app['id']}/msg/nothing/explain"), 404, "not_found")
