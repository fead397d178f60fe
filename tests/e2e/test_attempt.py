# SPDX-License-Identifier: Apache-2.0
"""Attempts: what was tried and what came of it, seen from the message and from the endpoint."""

import base64
import threading
from datetime import datetime, timedelta, timezone

import pytest
from harness.api import ATTEMPT_ID, DATE, FAIL, SENDING, SUCCESS, is_error, is_invalid, unique
from harness.receiver import Reply, SilentListener
from harness.server import Server
from harness.wait import wait_for

pytestmark = pytest.mark.smoke


@pytest.fixture
def endpoint(api, app, receiver, path):
    return api.new_endpoint(app, receiver.url(path))


def ids(rows):
    return [row["id"] for row in rows["data"]]


def test_a_successful_attempt(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(201, body=b'{"thanks": true}', delay=0.05))
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    assert ATTEMPT_ID.match(attempt["id"]) and DATE.match(attempt["timestamp"])
    assert attempt["responseDurationMs"] >= 45
    expected = {
        "url": endpoint["url"],
        "response": '{"thanks": true}',
        "responseStatusCode": 201,
        "status": SUCCESS,
        "statusText": "success",
        "triggerType": 0,
        "msgId": message["id"],
        "endpointId": endpoint["id"],
    }
    assert {key: attempt[key] for key in expected} == expected
    got = api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/attempt/{attempt['id']}")
    assert {key: got[key] for key in attempt} == attempt


def test_failed_attempts_until_the_schedule_ends(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(500, body=b"one"), Reply(404, body=b"two"), Reply(302, [("Location", "/x")], b"three"))
    message = api.send(app)
    attempts = api.wait_final(app, message, endpoint)
    assert [(a["responseStatusCode"], a["response"], a["status"], a["statusText"]) for a in attempts] == [
        (500, "one", FAIL, "fail"),
        (404, "two", FAIL, "fail"),
        (302, "three", FAIL, "fail"),
    ]
    assert [a["id"] for a in attempts] == sorted(a["id"] for a in attempts)
    row = api.destination(app, message, endpoint)
    assert (row["status"], row["statusText"], row["nextAttempt"]) == (FAIL, "fail", None)


def test_a_retry_that_succeeds(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(503), Reply(200))
    message = api.send(app)
    attempts = api.wait_final(app, message, endpoint)
    assert [a["status"] for a in attempts] == [FAIL, SUCCESS]
    first, second = receiver.requests(path)
    assert first.message_id == second.message_id == message["id"] and first.body == second.body


def test_no_answer_has_code_0_and_words(api, app, receiver, path):
    closed = SilentListener()
    closed.close()
    nobody = api.new_endpoint(app, f"http://127.0.0.1:{closed.port}/")
    receiver.script(path, Reply(reset=True))
    rude = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    for endpoint in (nobody, rude):
        for attempt in api.wait_final(app, message, endpoint):
            assert attempt["responseStatusCode"] == 0 and attempt["status"] == FAIL
            assert len(attempt["response"]) > 5


def test_what_is_kept_of_a_response(api, app, endpoint, receiver, path):
    binary = bytes(range(256)) * 4
    long = b"a" + "é".encode() * 15000  # the 20,000-byte limit falls into the middle of a character
    receiver.script(path, Reply(200, body=binary), Reply(200, body=long), Reply(200), Reply(204))
    kept = []
    for _ in range(4):
        (attempt,) = api.wait_final(app, api.send(app), endpoint)
        kept.append(attempt["response"])
    assert base64.b64decode(kept[0], validate=True) == binary
    assert 19990 <= len(kept[1].encode()) <= 20000 and long.decode().startswith(kept[1])
    assert kept[2:] == ["", ""]


def test_with_content_false(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(200, body=b"words"))
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    assert attempt["response"] == "words"
    for url in (f"/app/{app['id']}/attempt/msg/{message['id']}", f"/app/{app['id']}/attempt/endpoint/{endpoint['id']}"):
        (row,) = api.ok("GET", url, params={"with_content": "false"})["data"]
        assert row["response"] == "{}"
        (row,) = api.ok("GET", url, params={"with_content": "true"})["data"]
        assert row["response"] == "words"


def test_with_msg(api, app, endpoint):
    message = api.send(app, {"n": 5})
    api.wait_final(app, message, endpoint)
    url = f"/app/{app['id']}/attempt/endpoint/{endpoint['id']}"
    is_error(api.get(url, params={"expanded_statuses": "perhaps"}), 400, "generic_error")
    (row,) = api.ok("GET", url, params={"with_msg": "true", "expanded_statuses": "true"})["data"]
    assert row["msg"]["id"] == message["id"]
    (row,) = api.ok("GET", url)["data"]
    assert row.get("msg") is None


@pytest.fixture
def mixed(api, app, receiver, path):
    """Two endpoints, one of which fails, and two messages of different type and channel; all is over."""
    receiver.script(f"{path}-bad", Reply(404), Reply(500), Reply(500))
    good = api.new_endpoint(app, receiver.url(f"{path}-good"), uid=unique("good"))
    first = api.send(app, event_type="type.first", channels=["one"])
    api.wait_final(app, first, good)
    bad = api.new_endpoint(app, receiver.url(f"{path}-bad"), uid=unique("bad"))
    second = api.send(app, event_type="type.second")
    api.wait_final(app, second, good)
    api.wait_final(app, second, bad)
    return {"good": good, "bad": bad, "first": first, "second": second}


def test_filters_by_message(api, app, mixed):
    url = f"/app/{app['id']}/attempt/msg/{mixed['second']['id']}"
    good, bad = mixed["good"], mixed["bad"]

    def seen(**params):
        rows = api.ok("GET", url, params=params)["data"]
        return sorted((row["endpointId"] == bad["id"], row["responseStatusCode"]) for row in rows)

    everything = [(False, 204), (True, 404), (True, 500), (True, 500)]
    assert seen() == everything
    assert seen(endpoint_id=good["id"]) == everything[:1] == seen(endpoint_id=good["uid"])
    assert seen(endpoint_id=bad["id"]) == everything[1:]
    assert seen(status=SUCCESS) == everything[:1] and seen(status=FAIL) == everything[1:]
    assert seen(status=1) == []
    assert seen(status_code_class=200) == everything[:1]
    assert seen(status_code_class=400) == everything[1:2]
    assert seen(status_code_class=500) == everything[2:]
    assert seen(status_code_class=0) == [] == seen(status_code_class=300)
    assert seen(event_types="type.second") == everything and seen(event_types="type.first") == []
    assert seen(channel="one") == []
    is_error(api.get(url, params={"endpoint_id": "nobody"}), 404, "not_found")
    is_error(api.get(url, params={"status": "7"}), 400, "generic_error")
    is_error(api.get(url, params={"status_code_class": "250"}), 400, "generic_error")
    rows = api.ok("GET", url)["data"]
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)


def test_filters_by_endpoint(api, app, mixed):
    for name in (mixed["good"]["id"], mixed["good"]["uid"]):
        url = f"/app/{app['id']}/attempt/endpoint/{name}"

        def seen(**params):
            return [row["msgId"] for row in api.ok("GET", url, params=params)["data"]]

        first, second = mixed["first"]["id"], mixed["second"]["id"]
        assert seen() == [second, first]
        assert seen(channel="one") == [first]
        assert seen(event_types="type.second") == [second]
        assert seen(event_types="type.second,type.first") == [second, first]
        assert seen(status=FAIL) == [] and seen(status=SUCCESS, status_code_class=200) == [second, first]
        now = datetime.now(timezone.utc)
        assert seen(after=(now - timedelta(hours=1)).isoformat()) == [second, first]
        assert seen(before=(now - timedelta(hours=1)).isoformat()) == []


def test_attempted_messages(api, app, mixed):
    def rows(name, **params):
        return api.ok("GET", f"/app/{app['id']}/endpoint/{mixed[name]['id']}/msg", params=params)["data"]

    first, second = mixed["first"], mixed["second"]
    good = rows("good")
    assert [row["id"] for row in good] == [second["id"], first["id"]]
    for row in good:
        assert (row["status"], row["statusText"]) == (SUCCESS, "success") and "nextAttempt" not in row
        assert row["payload"] == {"n": 1} and DATE.match(row["timestamp"])
    (bad,) = rows("bad")
    assert (bad["id"], bad["status"], bad["statusText"]) == (second["id"], FAIL, "fail")
    assert bad["eventType"] == "type.second" and "nextAttempt" not in bad
    assert rows("bad", status=SUCCESS) == [] and len(rows("bad", status=FAIL)) == 1
    assert len(rows("good", status=SUCCESS)) == 2 and rows("good", status=FAIL) == []
    assert [row["id"] for row in rows("good", channel="one")] == [first["id"]]
    assert [row["id"] for row in rows("good", event_types="type.second")] == [second["id"]]
    assert [row["payload"] for row in rows("good", with_content="false")] == [{}, {}]
    is_error(api.get(f"/app/{app['id']}/endpoint/nobody/msg"), 404, "not_found")


def test_attempted_destinations(api, app, mixed):
    url = f"/app/{app['id']}/msg/{mixed['second']['id']}/endpoint"
    rows = api.ok("GET", url)["data"]
    assert [row["id"] for row in rows] == [mixed["good"]["id"], mixed["bad"]["id"]], "ascending by endpoint id"
    assert [(row["status"], row["statusText"]) for row in rows] == [(SUCCESS, "success"), (FAIL, "fail")]
    for row, name in zip(rows, ("good", "bad")):
        for key in ("url", "description", "uid", "disabled", "eventTypes", "channels", "createdAt", "updatedAt"):
            assert row[key] == mixed[name][key], key
        assert row["nextAttempt"] is None
    api.ok("DELETE", f"/app/{app['id']}/endpoint/{mixed['good']['id']}", None, 204)
    assert ids(api.ok("GET", url)) == [mixed["good"]["id"], mixed["bad"]["id"]], "deleted ones stay"
    assert len(api.attempts(app, mixed["second"])) == 4, "attempts stay"


def test_a_retry_to_come_is_shown_as_sending(receiver, path):
    with Server({"retry_schedule": "600"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        api.wait_attempts(app, message)
        row = api.destination(app, message, endpoint)
        assert row["statusText"] in ("sending", "pending") and row["nextAttempt"] is not None
        when = datetime.fromisoformat(row["nextAttempt"][:19] + "+00:00")
        wait = (when - datetime.now(timezone.utc)).total_seconds()
        assert 600 * 0.8 - 60 < wait < 600 * 1.2 + 2, "600 s, give or take a fifth"
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}/msg"
        (row,) = api.ok("GET", url, params={"status": SENDING})["data"]
        assert row["id"] == message["id"] and row["nextAttempt"]
        assert api.ok("GET", url, params={"status": FAIL})["data"] == []


def test_resend(api, app, endpoint, receiver, path):
    message = api.send(app, {"n": 7})
    api.wait_final(app, message, endpoint)
    response = api.post(f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend")
    assert response.status_code == 202 and response.json() == {}
    first, second = receiver.wait_message(message["id"], path, 2)
    assert first.body == second.body
    attempts = api.wait_attempts(app, message, 2)
    assert [a["triggerType"] for a in attempts] == [0, 1]


def test_resend_is_one_attempt_without_retries(api, app, endpoint, receiver, path):
    message = api.send(app)
    api.wait_final(app, message, endpoint)
    receiver.script(path, Reply(500))
    api.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", None, 202)
    api.wait_attempts(app, message, 2)
    # A second message runs through its whole schedule meanwhile; a retry of the resend would have come as well.
    api.wait_final(app, api.send(app), endpoint)
    assert len(receiver.wait_message(message["id"], path, 2)) == 2


def test_resend_ignores_filters_and_skips_the_disabled(api, app, receiver, path):
    kind = api.new_event_type()["name"]
    message = api.send(app, event_type="another.type")
    picky = api.new_endpoint(app, receiver.url(path), eventTypes=[kind], channels=["x"])
    off = api.new_endpoint(app, receiver.url(path + "-off"), disabled=True)
    for endpoint in (off, picky):
        url = f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend"
        api.ok("POST", url, None, 202)
    receiver.wait_message(message["id"], path)
    api.wait_attempts(app, message, 1, endpoint_id=picky["id"])
    assert receiver.requests(path + "-off") == []


def test_resend_of_nobody(api, app, endpoint):
    message = api.send(app)
    root = f"/app/{app['id']}/msg"
    is_error(api.post(f"{root}/{message['id']}/endpoint/nobody/resend"), 404, "not_found")
    is_error(api.post(f"{root}/nobody/endpoint/{endpoint['id']}/resend"), 404, "not_found")
    is_error(api.post(f"/app/nobody/msg/{message['id']}/endpoint/{endpoint['id']}/resend"), 404, "not_found")


def test_the_old_paths(api, app, endpoint):
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    root = f"/app/{app['id']}/msg/{message['id']}"
    assert ids(api.ok("GET", f"{root}/attempt")) == [attempt["id"]]
    assert ids(api.ok("GET", f"{root}/endpoint/{endpoint['id']}/attempt")) == [attempt["id"]]


def test_attempts_of_nobody(api, app, endpoint):
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    root = f"/app/{app['id']}"
    other = api.send(app)
    for url in (
        f"{root}/attempt/msg/nobody",
        f"{root}/attempt/endpoint/nobody",
        f"{root}/msg/nobody/endpoint",
        f"{root}/msg/{message['id']}/attempt/nobody",
        f"{root}/msg/{message['id']}/attempt/atmpt_{'0' * 27}",
        f"{root}/msg/{other['id']}/attempt/{attempt['id']}",
    ):
        is_error(api.get(url), 404, "not_found")
    is_invalid(api.get(f"{root}/attempt/msg/{message['id']}", params={"iterator": message["id"]}), "query")


def test_messages_by_event_id_everywhere(api, app, endpoint):
    message = api.send(app, eventId=unique("event"))
    (attempt,) = api.wait_final(app, message, endpoint)
    root = f"/app/{app['id']}"
    assert ids(api.ok("GET", f"{root}/attempt/msg/{message['eventId']}")) == [attempt["id"]]
    assert ids(api.ok("GET", f"{root}/msg/{message['eventId']}/endpoint")) == [endpoint["id"]]
    assert api.ok("GET", f"{root}/msg/{message['eventId']}/attempt/{attempt['id']}")["id"] == attempt["id"]
    api.ok("POST", f"{root}/msg/{message['eventId']}/endpoint/{endpoint['id']}/resend", None, 202)
    api.wait_attempts(app, message, 2)


def test_an_attempt_in_flight_is_not_yet_listed(api, app, endpoint, receiver, path):
    gate = threading.Event()
    receiver.script(path, Reply(200, hold=gate))
    message = api.send(app)
    receiver.wait(path)
    assert api.attempts(app, message) == []
    gate.set()
    wait_for(lambda: len(api.attempts(app, message)) == 1, 5, "the attempt to be recorded")


@pytest.mark.breadth
def test_expunge(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(200, body=b"hush"))
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    url = f"/app/{app['id']}/msg/{message['id']}/attempt/{attempt['id']}"
    api.ok("DELETE", f"{url}/content", None, 204)
    assert api.ok("GET", url)["response"] == "EXPUNGED"
