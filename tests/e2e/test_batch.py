# SPDX-License-Identifier: Apache-2.0
"""Batch publish: many messages in one request and one transaction, each with an outcome of its own."""

import json

import pytest
from harness.api import is_error, is_invalid, unique
from harness.wait import wait_for

pytestmark = pytest.mark.smoke

MANY = 1000
MIB = 1024 * 1024


@pytest.fixture
def root(app):
    return f"/app/{app['id']}/msg"


def item(number=0, **fields):
    return {"eventType": "a", "payload": {"n": number}, **fields}


def publish(api, root, messages, status=202, **kwargs):
    return api.ok("POST", f"{root}/batch", {"messages": messages}, status, **kwargs)["results"]


def statuses(results):
    assert [result["index"] for result in results] == list(range(len(results)))
    return [result["status"] for result in results]


def count(api, root):
    total, iterator = 0, None
    while True:
        params = {"limit": 250, **({"iterator": iterator} if iterator else {})}
        page = api.ok("GET", root, params=params)
        total, iterator = total + len(page["data"]), page["iterator"]
        if page["done"]:
            return total


def test_every_outcome_in_its_place(api, app, root, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    taken = unique("taken")
    api.send(app, eventId=taken)
    messages = [
        item(0, eventId=unique("e"), channels=["x", "y"], tags=["t"]),
        {"payload": {}},
        item(2, eventId=taken),
        "no object",
        item(5, eventType="no good"),
        {**item(6), **{f"extra{n}": n for n in range(40)}},
        item(7, eventId="same"),
        item(8, eventId="same"),
        {"eventType": "a", "data": {"n": 9}, "transformationsParams": {"rawPayload": "raw €"}},
        None,
    ]
    results = publish(api, root, messages)
    assert statuses(results) == [202, 422, 409, 422, 422, 202, 202, 409, 202, 422]
    for result in results:
        assert set(result) == {"index", "status", "message" if result["status"] == 202 else "error"}
    # Each as the message alone would have been answered.
    first = results[0]["message"]
    assert first == api.ok("GET", f"{root}/{first['id']}")
    assert first["payload"] == {"n": 0} and first["channels"] == ["x", "y"] and first["tags"] == ["t"]
    for result, body in ((results[1], messages[1]), (results[2], messages[2]), (results[4], messages[4])):
        alone = api.post(root, body)
        assert (alone.status_code, alone.json()) == (result["status"], result["error"])
    accepted = [result["message"]["id"] for result in results if result["status"] == 202]
    assert accepted == sorted(accepted) and count(api, root) == len(accepted) + 1
    bodies = {"n0": b'{"n": 0}', "n6": b'{"n": 6}', "n7": b'{"n": 7}', "raw": "raw €".encode()}
    for message_id, body in zip(accepted, bodies.values()):
        assert receiver.wait_message(message_id, path)[0].body == body
        api.wait_final(app, {"id": message_id}, endpoint)


def test_content_only_when_asked_for(api, root):
    (with_content,) = publish(api, root, [item(1)])
    (without,) = publish(api, root, [item(1)], params={"with_content": "false"})
    assert with_content["message"]["payload"] == {"n": 1} and without["message"]["payload"] == {}
    wrong = api.post(f"{root}/batch", {"messages": [item()]}, params={"with_content": "maybe"})
    is_error(wrong, 400, "generic_error")


def test_payloads_arrive_byte_for_byte(api, app, root, receiver, path):
    api.new_endpoint(app, receiver.url(path))
    text = '{"big": 12345678901234567890123, "exp":1e400,\t"tail": 1.10, "u": "\\u00fc"}'
    body = '{"before":[1],"messages" : [ {"eventType":"a","payload":%s} ],"after":{"messages":[]}}' % text
    response = api.post(f"{root}/batch", content=body.encode())
    assert response.status_code == 202 and text in response.text
    message_id = response.json()["results"][0]["message"]["id"]
    assert receiver.wait_message(message_id, path)[0].body == text.encode()


def test_a_thousand_at_once(api, app, root, receiver, path):
    api.new_endpoint(app, receiver.url(path))
    results = publish(api, root, [item(n) for n in range(MANY)], params={"with_content": "false"})
    assert statuses(results) == [202] * MANY
    ids = [result["message"]["id"] for result in results]
    assert ids == sorted(set(ids)) and count(api, root) == MANY
    wait_for(lambda: len(receiver.requests(path)) >= MANY, 60, "all of them to arrive")
    arrived = {request.message_id: request.body for request in receiver.requests(path)}
    assert arrived == {message_id: b'{"n": %d}' % n for n, message_id in enumerate(ids)}


def test_in_their_order(api, app, root, receiver, path):
    api.new_endpoint(app, receiver.url(path), ordering="endpoint")
    results = publish(api, root, [item(n) for n in range(40)])
    wait_for(lambda: len(receiver.requests(path)) == 40, 30, "all of them to arrive")
    assert [r.message_id for r in receiver.requests(path)] == [result["message"]["id"] for result in results]


WRONG = {
    "too many": ({"messages": [item()] * (MANY + 1)}, ["body", "messages"]),
    "none": ({"messages": []}, ["body", "messages"]),
    "absent": ({}, ["body", "messages"]),
    "null": ({"messages": None}, ["body", "messages"]),
    "an object": ({"messages": {"eventType": "a", "payload": {}}}, ["body", "messages"]),
    "a list": ([item()], ["body"]),
}


@pytest.mark.parametrize("body, loc", WRONG.values(), ids=WRONG.keys())
def test_wrong_bodies(api, root, body, loc):
    is_invalid(api.post(f"{root}/batch", body), *loc)
    assert count(api, root) == 0


BROKEN = {
    "empty": b"",
    "cut": b'{"messages":[{"eventType":"a","payload":{}},{"eventType":"a","payload":{}}',
    "behind": b'{"messages":[{"eventType":"a","payload":{}}]} x',
    "within": b'{"messages":[{"eventType":"a","payload":{}},{"eventType":"a","payload":{]}]}',
    "twice": b'{"messages":[{"eventType":"a","payload":{}}],"messages":[]}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_is_not_json_does_nothing(api, root, content):
    is_invalid(api.post(f"{root}/batch", content=content), "body", kind="value_error.jsondecode")
    assert count(api, root) == 0


def test_limits_of_size(api, root):
    """One message may be no larger than alone; all together have more room."""
    large = {"eventType": "a", "payload": {"x": "y" * (MIB + MIB // 2)}}
    too_large = {"eventType": "a", "payload": {"x": "y" * (2 * MIB)}}
    results = publish(api, root, [large, too_large, *[large] * 5], params={"with_content": "false"})
    assert statuses(results) == [202, 413, 202, 202, 202, 202, 202]
    assert results[1]["error"] == {"code": "payload_too_large", "detail": "Request payload is too large."}
    assert len(api.get(root, params={"limit": 1}).json()["data"][0]["payload"]["x"]) == MIB + MIB // 2
    response = api.post(f"{root}/batch", {"messages": [large] * 11})
    is_error(response, 413, "payload_too_large")
    assert count(api, root) == 6


def test_who_may(server, api, app, root):
    for name in ("nobody", "app_" + "0" * 27):
        is_error(api.post(f"/app/{name}/msg/batch", {"messages": [item()]}), 404, "not_found", "Application not found")
    access = api.ok("POST", f"/auth/app-portal-access/{app['id']}", {})
    is_error(server.api(access["token"]).post(f"{root}/batch", {"messages": [item()]}), 403, "insufficient access")
    is_error(server.api("nonsense").post(f"{root}/batch", {"messages": [item()]}), 401, "authentication_failed")


def test_an_application_made_on_the_way(api):
    """As if they were published one after the other: those before it is made do not find it."""
    uid = unique("made")
    bring = {"name": "Made", "uid": uid}
    messages = [item(0), item(1, application={"name": "x", "uid": "other"}), item(2, application=bring), item(3)]
    results = publish(api, f"/app/{uid}/msg", messages)
    assert statuses(results) == [404, 422, 202, 202]
    assert results[0]["error"]["detail"] == "Application not found"
    assert results[1]["error"]["detail"][0]["type"] == "application_uid_mismatch"
    assert api.ok("GET", f"/app/{uid}")["name"] == "Made"
    assert count(api, f"/app/{uid}/msg") == 2


@pytest.mark.parametrize("key", ["k", "auto_0b9cf8ad-42d0-4d6d-9d9c-2f7e2b7d9c55"], ids=["caller's", "SDK's"])
@pytest.mark.parametrize("with_content", ["true", "false"])
def test_a_key_repeats_the_whole_answer(api, app, root, receiver, path, key, with_content):
    endpoint = api.new_endpoint(app, receiver.url(path))
    taken = unique("taken")
    api.send(app, eventId=taken)
    messages = [item(0, channels=["c"]), {"payload": 1}, item(2, eventId=taken), item(3, tags=["t"])]
    answers = [
        api.post(
            f"{root}/batch",
            {"messages": messages},
            headers={"Idempotency-Key": key},
            params={"with_content": with_content},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert statuses(answers[0].json()["results"]) == [202, 422, 409, 202]
    assert answers[0].json() == answers[1].json() and count(api, root) == 3
    last = api.send(app)
    api.wait_final(app, last, endpoint)
    assert len({request.message_id for request in receiver.requests(path)}) == len(receiver.requests(path)) == 4


def test_refused_requests_keep_no_answer(api, app, root):
    headers = {"Idempotency-Key": unique("key")}
    assert api.post(f"{root}/batch", {"messages": []}, headers=headers).status_code == 422
    assert statuses(publish(api, root, [item()], headers=headers)) == [202]


def test_all_refused_is_an_answer_too(api, root):
    results = publish(api, root, [{}, {"eventType": "a"}])
    assert statuses(results) == [422, 422] and count(api, root) == 0


def test_the_answer_is_as_long_as_it_must_be(api, root):
    """A hundred payloads of 100 KiB come back whole."""
    text = "x" * (100 * 1024)
    body = json.dumps({"messages": [item(n, payload={"t": text}) for n in range(100)]})
    results = api.ok("POST", f"{root}/batch", None, 202, content=body.encode())["results"]
    assert all(result["message"]["payload"] == {"t": text} for result in results)
