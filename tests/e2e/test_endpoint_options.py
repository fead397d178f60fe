# SPDX-License-Identifier: Apache-2.0
"""The fields of endpoints that only this server has, and those of messages: timeout, schedule, method, order, time."""

import base64
import datetime
import gzip
import hashlib
import hmac

import pytest
from harness import signatures
from harness.api import FAIL, SUCCESS, is_invalid
from harness.receiver import Receiver, Reply
from harness.server import Server
from harness.wait import wait_for

EXTENSIONS = ("timeoutMs", "retrySchedule", "maxInFlight", "method", "ordering", "compression", "signature", "filter",
              "transform", "auth", "proxy")
DEFAULTS = {"method": "POST", "ordering": "none", "compression": "none"}


def later(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def shown(endpoint):
    return {name: endpoint[name] for name in EXTENSIONS}


@pytest.fixture
def one(api, app):
    """Path of one endpoint that nobody delivers to."""
    endpoint = api.new_endpoint(app, "http://127.0.0.1:9/x", disabled=True)
    return f"/app/{app['id']}/endpoint/{endpoint['id']}"


# ---- what is stored and shown ----


def test_a_plain_endpoint_shows_the_defaults(api, one):
    assert shown(api.ok("GET", one)) == {name: DEFAULTS.get(name) for name in EXTENSIONS}


SET = {"timeoutMs": 1500, "retrySchedule": [0.5, 2, 60], "maxInFlight": 3, "method": "PUT", "ordering": "key",
       "compression": "gzip",
       "signature": {"scheme": "hmac-sha256", "header": "X-Sum", "encoding": "hex", "prefix": "sha256="}}


def test_what_was_set_is_shown_and_kept(api, app, one):
    changed = api.ok("PATCH", one, SET)
    assert {name: changed[name] for name in SET} == SET
    assert api.ok("GET", one) == changed
    # One field at a time; the others stay.
    changed = api.ok("PATCH", one, {"timeoutMs": None, "retrySchedule": []})
    assert (changed["timeoutMs"], changed["retrySchedule"], changed["maxInFlight"]) == (None, [], 3)
    # Clients of other servers do not know the fields, so a PUT without them leaves them alone.
    put = api.ok("PUT", one, {"url": "http://127.0.0.1:9/y"})
    assert shown(put) == shown(changed)
    put = api.ok("PUT", one, {"url": "http://127.0.0.1:9/y", **{name: None for name in SET}})
    assert shown(put) == {name: DEFAULTS.get(name) for name in EXTENSIONS}


AUTHS = {
    "basic": ({"type": "basic", "username": "u", "password": "secret-p"}, {"type": "basic", "username": "u"}),
    "bearer": ({"type": "bearer", "token": "secret-t"}, {"type": "bearer"}),
    "oauth2": ({"type": "oauth2", "tokenUrl": "http://127.0.0.1:9/t", "clientId": "c", "clientSecret": "secret-s",
                "scopes": ["a", "b"]},
               {"type": "oauth2", "tokenUrl": "http://127.0.0.1:9/t", "clientId": "c", "scopes": "a b"}),
}


@pytest.mark.parametrize("given, seen", AUTHS.values(), ids=AUTHS.keys())
def test_credentials_are_never_shown(server, api, app, one, given, seen):
    response = api.patch(one, {"auth": given, "proxy": "http://user:secret-q@127.0.0.1:9/"})
    assert response.status_code == 200 and response.json()["auth"] == seen
    assert response.json()["proxy"] == "http://127.0.0.1:9/"
    listed = api.get(f"/app/{app['id']}/endpoint")
    assert "secret-" not in response.text + listed.text + server.log()
    assert api.ok("PATCH", one, {"auth": None, "proxy": None})["auth"] is None


REFUSED = {
    "timeout 0": ({"timeoutMs": 0}, "timeout_ms"),
    "timeout above the limit": ({"timeoutMs": 300001}, "timeout_ms"),
    "timeout of a text": ({"timeoutMs": "1"}, "timeoutMs"),
    "schedule of texts": ({"retrySchedule": ["1"]}, "retry_schedule"),
    "schedule too long": ({"retrySchedule": [1] * 33}, "retry_schedule"),
    "schedule below 0": ({"retrySchedule": [-1]}, "retry_schedule"),
    "schedule of a number": ({"retrySchedule": 5}, "retrySchedule"),
    "in flight 0": ({"maxInFlight": 0}, "max_in_flight"),
    "in flight above the limit": ({"maxInFlight": 1025}, "max_in_flight"),
    "method GET": ({"method": "GET"}, "method"),
    "ordering": ({"ordering": "random"}, "ordering"),
    "compression": ({"compression": "br"}, "compression"),
    "signature scheme": ({"signature": {"scheme": "md5", "header": "X"}}, "signature", "scheme"),
    "signature without header": ({"signature": {"scheme": "hmac-sha256"}}, "signature", "header"),
    "signature header": ({"signature": {"scheme": "hmac-sha256", "header": "a b"}}, "signature", "header"),
    "signature encoding": ({"signature": {"scheme": "hmac-sha256", "header": "X", "encoding": "b"}}, "signature",
                           "encoding"),
    "signature prefix": ({"signature": {"scheme": "standard", "prefix": "v"}}, "signature", "prefix"),
    "line break in the prefix": ({"signature": {"scheme": "hmac-sha256", "header": "X", "prefix": "a\r\nb"}},
                                 "signature", "prefix"),
    "signature header Host": ({"signature": {"scheme": "hmac-sha256", "header": "Host"}}, "signature", "header"),
    "two in one header": ({"signature": {"scheme": "hmac-sha256", "header": "authorization"},
                           "auth": {"type": "bearer", "token": "t"}}, "signature", "header"),
    "basic with a line break": ({"auth": {"type": "basic", "username": "u\r\n", "password": "p"}}, "auth", "username"),
    "auth type": ({"auth": {"type": "ntlm"}}, "auth", "type"),
    "auth without a type": ({"auth": {}}, "auth", "type"),
    "basic without a password": ({"auth": {"type": "basic", "username": "u"}}, "auth", "password"),
    "basic with a colon": ({"auth": {"type": "basic", "username": "u:v", "password": "p"}}, "auth", "username"),
    "bearer with a line break": ({"auth": {"type": "bearer", "token": "a\nb"}}, "auth", "token"),
    "oauth2 token url": ({"auth": {"type": "oauth2", "tokenUrl": "ftp://x", "clientId": "c", "clientSecret": "s"}},
                         "auth", "token_url"),
    "proxy": ({"proxy": "nonsense"}, "proxy"),
    "proxy of a number": ({"proxy": 1}, "proxy"),
    "filter of nothing": ({"filter": ""}, "filter"),
    "transform too long": ({"transform": "." * 51201}, "transform"),
}


@pytest.mark.parametrize("body, loc", [(body, loc) for body, *loc in REFUSED.values()], ids=REFUSED.keys())
def test_what_is_refused(api, one, body, loc):
    before = api.ok("GET", one)
    is_invalid(api.patch(one, body), "body", *loc)
    assert api.ok("GET", one) == before


# ---- what they do ----


def test_a_timeout_of_its_own(api, app, receiver, path):
    receiver.script(path, Reply(delay=3.0))
    endpoint = api.new_endpoint(app, receiver.url(path), timeoutMs=200, retrySchedule=[])
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    assert attempt["responseStatusCode"] == 0
    assert 150 <= attempt["responseDurationMs"] < 2500


def test_a_schedule_of_its_own(api, app, receiver, path):
    receiver.script(path, Reply(status=500))
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[0.01, 0.02, 0.03])
    assert len(api.wait_final(app, api.send(app), endpoint)) == 4
    once = api.new_endpoint(app, receiver.url(path), retrySchedule=[])
    assert len(api.wait_final(app, api.send(app), once)) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_method_of_its_own(api, app, receiver, path, method):
    endpoint = api.new_endpoint(app, receiver.url(path), method=method)
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    assert request.method == method
    assert signatures.verifies(api.secret(app, endpoint), request)


def test_in_flight_of_its_own(api, app, receiver, path):
    receiver.script(path, Reply(delay=0.05))
    api.new_endpoint(app, receiver.url(path), maxInFlight=2)
    messages = [api.send(app) for _ in range(12)]
    for message in messages:
        receiver.wait_message(message["id"], path)
    assert receiver.max_in_flight(path) == 2


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_an_hmac_of_the_body(api, app, receiver, path, encoding):
    endpoint = api.new_endpoint(app, receiver.url(path), signature={
        "scheme": "hmac-sha256", "header": "X-Hub-Signature-256", "encoding": encoding, "prefix": "sha256="})
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    key = base64.b64decode(api.secret(app, endpoint).removeprefix("whsec_"))
    digest = hmac.new(key, request.body, hashlib.sha256).digest()
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert request.header("x-hub-signature-256") == "sha256=" + text
    assert request.header("webhook-signature") is None and request.header("svix-signature") is None
    assert request.header("webhook-id") == request.header("svix-id") and request.header("webhook-timestamp")


def test_the_standard_signature_under_another_name(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), signature={"scheme": "standard", "header": "X-Signed"})
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    assert request.header("webhook-signature") is None
    text = f"{request.header('webhook-id')}.{request.header('webhook-timestamp')}.".encode() + request.body
    key = base64.b64decode(api.secret(app, endpoint).removeprefix("whsec_"))
    assert request.header("x-signed") == "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def test_basic_and_bearer(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path), auth={"type": "basic", "username": "ü", "password": "p:w"})
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    assert request.header("authorization") == "Basic " + base64.b64encode("ü:p:w".encode()).decode()
    other = api.new_app()
    api.new_endpoint(other, receiver.url(path + "/b"), auth={"type": "bearer", "token": "t.o-k"})
    assert receiver.wait_message(api.send(other)["id"], path + "/b")[0].header("authorization") == "Bearer t.o-k"


def test_a_compressed_body(api, app, receiver, path):
    """The signature is over what is sent, as always."""
    endpoint = api.new_endpoint(app, receiver.url(path), compression="gzip")
    payload = b'{"text":"' + b"word " * 10000 + b'"}'
    request = receiver.wait_message(api.send_text(app, payload)["id"], path)[0]
    assert request.header("content-encoding") == "gzip"
    assert len(request.body) < len(payload) / 10 and gzip.decompress(request.body) == payload
    assert signatures.verifies(api.secret(app, endpoint), request)


def test_an_hmac_needs_a_symmetric_secret(api, app, receiver, path):
    secret = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
    endpoint = api.new_endpoint(app, receiver.url(path), secret=secret, retrySchedule=[],
                                signature={"scheme": "hmac-sha256", "header": "X-Sum"})
    (attempt,) = api.wait_final(app, api.send(app), endpoint)
    assert "symmetric" in attempt["response"] and not receiver.requests(path)


# ---- order ----


def order_seen(receiver, path, ids):
    """The ids in the order of their first successful request."""
    seen = [request.message_id for request in receiver.requests(path)]
    return [id for id in dict.fromkeys(reversed(seen)) if id in ids][::-1]


def test_strict_order_under_retries(api, app, receiver, path):
    """Every other attempt fails: the next message waits until the one before it has succeeded."""
    receiver.script(path, *[Reply(status=500), Reply()] * 40)
    api.new_endpoint(app, receiver.url(path), ordering="endpoint", retrySchedule=[0.01] * 5)
    ids = [api.send(app)["id"] for _ in range(20)]
    wait_for(lambda: len(receiver.requests(path)) >= 40, 20)
    seen = [request.message_id for request in receiver.requests(path)]
    assert seen == [id for id in ids for _ in range(2)]
    assert receiver.max_in_flight(path) == 1


def test_a_message_that_fails_for_good_lets_the_next_go(api, app, receiver, path):
    receiver.script(path, Reply(status=500), Reply(status=500), Reply(status=500), Reply())
    endpoint = api.new_endpoint(app, receiver.url(path), ordering="endpoint", retrySchedule=[0.01, 0.01])
    first, second = api.send(app), api.send(app)
    assert len(api.wait_final(app, first, endpoint)) == 3
    (attempt,) = api.wait_final(app, second, endpoint)
    assert attempt["status"] == SUCCESS
    assert api.destination(app, first, endpoint)["status"] == FAIL


def test_order_by_key(api, app, receiver, path):
    """A key whose message fails holds back that key alone."""
    api.new_endpoint(app, receiver.url(path), ordering="key", retrySchedule=[6, 0.01])
    receiver.script(path, Reply(status=500), Reply())
    stuck = api.send(app, orderingKey="a")
    receiver.wait_message(stuck["id"], path)
    behind = [api.send(app, orderingKey="a")["id"] for _ in range(5)]
    others = [api.send(app, orderingKey=f"k{n % 3}")["id"] for n in range(9)] + [api.send(app)["id"]]
    for id in others:
        receiver.wait_message(id, path)
    seen = [request.message_id for request in receiver.requests(path)]
    assert not set(behind) & set(seen[: seen.index(others[-1])])
    for id in behind:
        receiver.wait_message(id, path)
    seen = [request.message_id for request in receiver.requests(path)]
    assert [id for id in seen if id in behind] == behind
    for key in range(3):
        assert [id for id in seen if id in others[key:9:3]] == others[key:9:3]


def test_order_survives_a_kill(path):
    with Receiver() as receiver, Server({"retry_schedule": "0.05,0.05,0.05"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(delay=0.02))
        api.new_endpoint(app, receiver.url(path), ordering="endpoint")
        ids = [api.send(app)["id"] for _ in range(40)]
        receiver.wait(path, 10)
        server.kill()
        server.start()
        wait_for(lambda: {request.message_id for request in receiver.requests(path)} >= set(ids), 20)
        seen = [request.message_id for request in receiver.requests(path)]
        assert list(dict.fromkeys(seen)) == ids
        assert len(seen) <= len(ids) + 1  # what was in flight may come twice


# ---- time and tags ----


def test_not_before_its_time(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path))
    when = later(6.0)
    message = api.send(app, deliverAt=when)
    assert message["deliverAt"][:22] == when[:22]
    soon = api.send(app)
    receiver.wait_message(soon["id"], path)
    assert len(receiver.requests(path)) == 1
    (request,) = receiver.wait_message(message["id"], path)
    assert request.header("webhook-timestamp") >= str(int(datetime.datetime.fromisoformat(when).timestamp()))
    assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}")["deliverAt"] == message["deliverAt"]


def test_a_time_that_is_past_is_now(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path))
    message = api.send(app, deliverAt=later(-60))
    assert "deliverAt" not in message
    receiver.wait_message(message["id"], path)


def test_a_time_too_far(api, app):
    body = {"eventType": "x", "payload": {}, "deliverAt": later(91 * 86400)}
    is_invalid(api.post(f"/app/{app['id']}/msg", body), "body", "deliver_at")
    is_invalid(api.post(f"/app/{app['id']}/msg", {**body, "deliverAt": "soon"}), "body", "deliverAt")


def test_its_time_survives_a_restart(path):
    with Receiver() as receiver, Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        message = api.send(app, deliverAt=later(1.5))
        server.kill()
        server.start()
        receiver.wait_message(message["id"], path)


def test_tags(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    first = api.send(app, tags=["a/b", "c\\d"])
    second = api.send(app, tags=["e"])
    assert first["tags"] == ["a/b", "c\\d"]
    base = f"/app/{app['id']}"
    for tag, expected in (("c\\d", [first]), ("e", [second]), ("nothing", [])):
        listed = api.ok("GET", f"{base}/msg", params={"tag": tag})["data"]
        assert [item["id"] for item in listed] == [item["id"] for item in expected]
    api.wait_attempts(app, first), api.wait_attempts(app, second)
    for where in ("attempt/endpoint/" + endpoint["id"], f"endpoint/{endpoint['id']}/msg"):
        rows = api.ok("GET", f"{base}/{where}", params={"tag": "e"})["data"]
        assert [row.get("msgId", row["id"]) for row in rows] == [second["id"]]
    is_invalid(api.post(base + "/msg", {"eventType": "x", "payload": {}, "tags": ["a b"]}), "body", "tags")
    is_invalid(api.post(base + "/msg", {"eventType": "x", "payload": {}, "tags": list("abcdef")}), "body", "tags")
