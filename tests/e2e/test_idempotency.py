# SPDX-License-Identifier: Apache-2.0
"""The idempotency-key header: the same POST again is answered again and done once."""

import threading

import pytest
from harness.api import is_error, unique
from harness.wait import net

pytestmark = pytest.mark.smoke


def key(name=None):
    return {"Idempotency-Key": name or unique("key")}


def ids(api, app):
    return [row["id"] for row in api.ok("GET", f"/app/{app['id']}/msg")["data"]]


@pytest.fixture
def root(app):
    return f"/app/{app['id']}/msg"


BODY = {"eventType": "a", "payload": {"n": 1}}


@pytest.mark.parametrize("name", [None, "auto_0b9cf8ad-42d0-4d6d-9d9c-2f7e2b7d9c55"], ids=["caller's", "SDK's"])
def test_a_repeated_message_is_one_message(api, app, root, receiver, path, name):
    endpoint = api.new_endpoint(app, receiver.url(path))
    headers = key(name)
    first = api.post(root, BODY, headers=headers)
    second = api.post(root, BODY, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert ids(api, app) == [first.json()["id"]]
    last = api.send(app)
    api.wait_final(app, last, endpoint)
    api.wait_final(app, first.json(), endpoint)
    assert sorted(r.message_id for r in receiver.requests(path)) == [first.json()["id"], last["id"]]


def test_without_a_key_each_post_counts(api, app, root):
    made = {api.ok("POST", root, BODY, 202)["id"] for _ in range(3)}
    assert len(made) == 3 and len(ids(api, app)) == 3


def test_another_key_is_another_request(api, app, root):
    first = api.ok("POST", root, BODY, 202, headers=key())
    second = api.ok("POST", root, BODY, 202, headers=key())
    assert first["id"] != second["id"]


def test_the_body_is_not_part_of_it(api, app, root):
    headers = key()
    first = api.ok("POST", root, BODY, 202, headers=headers)
    second = api.ok("POST", root, {"eventType": "b", "payload": {"n": 2}}, 202, headers=headers)
    assert first == second


def test_the_address_is_part_of_it(api, app, root):
    headers = key()
    first = api.ok("POST", root, BODY, 202, headers=headers)
    other = api.new_app()
    second = api.ok("POST", f"/app/{other['id']}/msg", BODY, 202, headers=headers)
    third = api.ok("POST", root, BODY, 202, headers=headers, params={"with_content": "false"})
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_the_token_is_part_of_it(server, api, org):
    uid, headers = unique("both"), key()
    mine = api.ok("POST", "/app", {"name": "x", "uid": uid}, 201, headers=headers)
    theirs = org.ok("POST", "/app", {"name": "x", "uid": uid}, 201, headers=headers)
    assert mine["id"] != theirs["id"]


def test_other_resources_are_repeated_as_well(api, app, receiver, path):
    headers = key()
    body = {"name": "once", "uid": unique("once")}
    first, second = (api.post("/app", body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201) and first.json() == second.json()
    is_error(api.post("/app", body, headers=key()), 409, "conflict")
    headers = key()
    body = {"url": receiver.url(path)}
    first, second = (api.post(f"/app/{app['id']}/endpoint", body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201) and first.json() == second.json()
    assert len(api.ok("GET", f"/app/{app['id']}/endpoint")["data"]) == 1


def test_a_resend_is_repeated_once(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    api.wait_final(app, message, endpoint)
    headers = key()
    url = f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend"
    for _ in range(2):
        assert api.post(url, headers=headers).status_code == 202
    api.wait_attempts(app, message, 2)
    api.wait_final(app, api.send(app), endpoint)
    assert len(receiver.wait_message(message["id"], path, 2)) == 2


def test_errors_are_not_kept(api, app, root):
    headers = key()
    assert api.post(root, {"eventType": "a"}, headers=headers).status_code == 422
    first = api.ok("POST", root, BODY, 202, headers=headers)
    assert api.ok("POST", root, BODY, 202, headers=headers) == first
    uid, headers = unique("later"), key()
    is_error(api.post(f"/app/{uid}/msg", BODY, headers=headers), 404, "not_found")
    api.new_app(uid=uid)
    api.ok("POST", f"/app/{uid}/msg", BODY, 202, headers=headers)


def test_a_conflict_is_not_hidden(api, app, root):
    event_id = unique("event")
    body = {**BODY, "eventId": event_id}
    headers = key()
    first = api.ok("POST", root, body, 202, headers=headers)
    assert api.ok("POST", root, body, 202, headers=headers)["id"] == first["id"]
    is_error(api.post(root, body, headers=key()), 409, "conflict")


def test_only_post_looks_at_it(api, app):
    headers = key()
    url = f"/app/{app['id']}"
    assert api.ok("PATCH", url, {"name": "one"}, headers=headers)["name"] == "one"
    assert api.ok("PATCH", url, {"name": "two"}, headers=headers)["name"] == "two"
    assert api.ok("GET", url, headers=headers)["name"] == "two"


def test_the_same_request_at_the_same_moment(server, app, root):
    """Sixteen clients send one and the same request at once: one message, the same answer for all."""
    headers, start, answers = key(), threading.Barrier(16), []

    def send():
        client = server.api()
        start.wait(30)
        answers.append(client.post(root, BODY, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(net(60))
    assert [answer.status_code for answer in answers] == [202] * 16
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(ids(server.api(), app)) == 1


def test_it_survives_a_restart(server, api, app, root):
    caller, sdk = key(), key("auto_" + unique("uuid"))
    before = [api.ok("POST", root, BODY, 202, headers=headers) for headers in (caller, sdk)]
    server.restart()
    after = [api.ok("POST", root, BODY, 202, headers=headers) for headers in (caller, sdk)]
    assert [m["id"] for m in after] == [m["id"] for m in before]
    assert len(ids(api, app)) == 2


@pytest.mark.parametrize("key", ["caller", "auto_"], ids=["caller's", "automatic"])
def test_a_key_belongs_to_the_application_not_to_its_name(api, key):
    uid, key = unique("uid"), key + unique("key")
    body = {"eventType": "a", "payload": {}}
    post = lambda: api.post(f"/app/{uid}/msg", body, headers={"idempotency-key": key})  # noqa: E731
    api.ok("POST", "/app", {"name": "first", "uid": uid}, 201)
    first = post()
    assert first.status_code == 202 and post().json()["id"] == first.json()["id"]
    api.ok("DELETE", f"/app/{uid}", None, 204)
    api.ok("POST", "/app", {"name": "second", "uid": uid}, 201)
    again = post()
    assert again.status_code == 202 and again.json()["id"] != first.json()["id"]
    assert post().json()["id"] == again.json()["id"]
