# SPDX-License-Identifier: Apache-2.0
"""Following an application: `GET …/stream`, from now on and from where one was."""

import contextlib
import socket
import ssl
import threading
import time

import httpx
import pytest
from harness import jwt
from harness.api import is_error, is_invalid, unique
from harness.receiver import Reply
from harness.server import Server
from harness.stream import Follower
from harness.tls import Authority
from harness.wait import SANITIZED, SLOWNESS, net, quickest, wait_for


@pytest.fixture
def follow(server, api, app):
    """Opens followers of the test's application and closes them at its end."""
    with contextlib.ExitStack() as stack:
        yield lambda token=None, **params: stack.enter_context(
            Follower(server, token or api.token, app["id"], **params)
        )


def content_free(api, app, event):
    """What the API says elsewhere of what the event tells."""
    base = f"/app/{app['id']}/msg"
    if event.name == "message":
        return api.ok("GET", f"{base}/{event.id}", params={"with_content": "false"})
    attempts = api.ok(
        "GET", f"/app/{app['id']}/attempt/msg/{event.data['msgId']}", params={"with_content": "false"}
    )["data"]
    (attempt,) = [each for each in attempts if each["id"] == event.id]
    message = api.ok("GET", f"{base}/{event.data['msgId']}")
    return {**attempt, "eventType": message["eventType"]}


def is_in_order(events):
    """Ids grow, and a message comes before its attempts."""
    keys = [event.id.split("_", 1)[1] for event in events]
    assert keys == sorted(set(keys))
    seen = set()
    for event in events:
        if event.name == "message":
            seen.add(event.id)
        else:
            assert event.data["msgId"] in seen
    return True


@pytest.mark.smoke
def test_events_come_as_things_happen(api, app, receiver, path, follow):
    receiver.script(path, Reply(503), Reply(200, body=b"fine"))
    endpoint = api.new_endpoint(app, receiver.url(path))
    before = api.send(app)
    assert len(api.wait_final(app, before, endpoint)) == 2  # all of it before anybody looked
    follower = follow()
    sent = [api.send(app, event_type=f"a.{n % 3}") for n in range(20)]
    events = follower.wait_count(20, "attempt")
    follower.wait_count(40)
    events = [event for event in follower.events if event.data.get("msgId", event.id) in {m["id"] for m in sent}]
    assert len(events) == 40 and is_in_order(events)
    assert follower.ids("message") == [message["id"] for message in sent]
    for event in events:
        assert event.data["id"] == event.id
        assert event.data == content_free(api, app, event)


def test_contents_when_wanted(api, app, receiver, path, follow):
    receiver.script(path, Reply(200, body=b"two\nlines"))
    start = api.send(app)
    api.new_endpoint(app, receiver.url(path))
    follower = follow(with_content="true")
    sent = api.send_text(app, b'{"a" :\r\n [1.10,\n\t2], "text": "x\\ny"}')
    message, attempt = follower.wait_count(2)
    assert message.id == sent["id"]
    assert message.data["payload"] == {"a": [1.10, 2], "text": "x\ny"}
    assert attempt.data["response"] == "two\nlines"
    # What was expunged is gone from the past, too.
    api.ok("DELETE", f"/app/{app['id']}/msg/{sent['id']}/content", status=204)
    message, attempt = follow(with_content="true", last=start["id"]).wait_count(2)
    assert message.id == sent["id"] and message.data["payload"] == {"expired": True}
    assert attempt.data["response"] in ("EXPUNGED", "two\nlines")


def test_filters(api, app, receiver, path, follow):
    other = path + "-other"
    uid = unique("uid")
    first = api.new_endpoint(app, receiver.url(path), uid=uid)
    api.new_endpoint(app, receiver.url(other))
    of_type = follow(event_types="b.1,b.2")
    of_endpoint = follow(endpoint_id=first["id"])
    of_both = follow(endpoint_id=uid, event_types="b.2")
    everything = follow()
    sent = [api.send(app, event_type=f"b.{n}") for n in range(4)]
    everything.wait_count(12)
    assert of_type.wait_count(6)
    assert of_type.ids("message") == [sent[1]["id"], sent[2]["id"]]
    assert {event.data["eventType"] for event in of_type.events} == {"b.1", "b.2"}
    assert of_endpoint.wait_count(4)
    assert {event.name for event in of_endpoint.events} == {"attempt"}
    assert {event.data["endpointId"] for event in of_endpoint.events} == {first["id"]}
    (only,) = of_both.wait_count(1)
    assert only.data["msgId"] == sent[2]["id"] and only.data["endpointId"] == first["id"]
    # A stream that filters everything away still gets to the end.
    assert len(of_type.events) == 6 and len(of_endpoint.events) == 4 and len(of_both.events) == 1


@pytest.mark.smoke
def test_going_on_behind_any_event(api, app, receiver, path, follow):
    api.new_endpoint(app, receiver.url(path))
    whole = follow()
    for n in range(30):
        api.send(app, {"n": n})
    ids = [event.id for event in whole.wait_count(60)]
    for position in (0, 1, 17, 58, 59):
        part = follow(last=ids[position])
        marker = api.send(app)
        whole.wait(lambda f: marker["id"] in f.ids(), what="the marker")
        part.wait(lambda f: marker["id"] in f.ids(), what="the marker")
        seen = part.ids()
        whole.wait(lambda f: set(seen) <= set(f.ids()), what="what the other one got")
        known = [event.id for event in list(whole.events)]
        begin = ids[position]
        assert seen == known[known.index(begin) + 1 :][: len(seen)]
        assert not any(event.name == "gap" for event in part.events)


def test_coming_back_before_the_first_event(api, app, follow):
    """Where a client begins has an id, too."""
    before = api.send(app)
    first = follow()
    first.wait(lambda f: f.last_id, what="an id without an event")
    assert first.last_id.startswith("pos_")
    first.close()
    assert first.events == []
    missed = api.send(app)
    second = follow(last=first.last_id)
    assert second.wait_count(1)[0].id == missed["id"] != before["id"]


def test_who_may_follow(server, api, app, org, follow):
    own = server.app_token(app["id"])
    stranger = server.app_token(api.new_app()["id"])
    follower = follow(own)
    message = api.send(app)
    assert follower.wait_count(1)[0].id == message["id"]
    for token, status in ((stranger, 404), (org.token, 404), ("nonsense", 401)):
        assert follow(token).response.status_code == status
    response = api.get(f"/app/{app['id']}/stream", headers={"Authorization": ""})
    is_error(response, 401, "authentication_failed")
    is_error(api.get("/app/app_none/stream"), 404, "not_found")


def test_a_stream_ends_with_its_token():
    """In order, and with where it stood: the next token goes on from there."""
    secret = "a secret of the tests, long enough"
    with Server(env={"POSTHORN_JWT_SECRET": secret}) as server:
        api = server.api()
        app = api.new_app()
        now = int(time.time())
        # It is past its end, and the server tolerates fifteen minutes: nine seconds are left.
        token = jwt.make(secret, sub="org_23rb8YdGqMT0qIzpgGwdXfHirMu", iat=now - 5000, nbf=now - 5000, exp=now - 891)
        with Follower(server, token, app["id"]) as follower:
            message = api.send(app)
            assert follower.wait_count(1)[0].id == message["id"]
            follower.wait_over()
            assert not follower.is_broken and follower.last_id.startswith("pos_")
            assert Follower(server, token, app["id"]).response.status_code == 401
            missed = api.send(app)
            with Follower(server, api.token, app["id"], last=follower.last_id) as later:
                assert later.wait_count(1)[0].id == missed["id"]


def test_a_stream_ends_when_its_token_is_ended(server, api, app, follow):
    """At once, before its time; those with other tokens go on."""
    integration = api.ok("POST", f"/app/{app['id']}/integration", {"name": "i"}, 201)
    key_path = f"/app/{app['id']}/integration/{integration['id']}/key"
    key = api.ok("POST", key_path + "/rotate")["key"]
    tokens = [server.app_token(app["id"]) for _ in range(2)]
    sessions = [
        api.ok("POST", f"/auth/app-portal-access/{app['id']}", {"sessionId": name})["token"] for name in ("a", "b")
    ]
    logged_out, expired = map(follow, tokens)
    session, of_another_session = map(follow, sessions)
    integrated = follow(key)
    steady = follow()
    everybody = [logged_out, expired, session, of_another_session, integrated, steady]

    def all_get_it(followers):
        message = api.send(app)
        for follower in followers:
            follower.wait(lambda f: message["id"] in f.ids(), what="the message")

    def is_ended(follower, token):
        begin = time.monotonic()
        follower.wait_over()
        assert time.monotonic() - begin < 30 * SLOWNESS and not follower.is_broken
        assert follower.last_id is not None
        assert follow(token).response.status_code == 401

    all_get_it(everybody)
    assert server.api(tokens[0]).post("/auth/logout").status_code == 204
    is_ended(logged_out, tokens[0])
    api.ok("POST", f"/auth/app/{app['id']}/expire-all", {"sessionIds": ["a"]}, 204)
    is_ended(session, sessions[0])
    all_get_it([expired, of_another_session, integrated, steady])
    api.ok("POST", f"/auth/app/{app['id']}/expire-all", {}, 204)
    is_ended(expired, tokens[1])
    is_ended(of_another_session, sessions[1])
    all_get_it([integrated, steady])
    api.ok("POST", key_path + "/rotate")
    is_ended(integrated, key)
    all_get_it([steady])


def test_a_stream_ends_at_the_time_that_was_set_for_its_token(server, api, app, follow):
    token = server.app_token(app["id"])
    follower = follow(token)
    api.ok("POST", f"/auth/app/{app['id']}/expire-all", {"expiry": 8}, 204)
    message = api.send(app)
    assert follower.wait_count(1)[0].id == message["id"], "not before"
    follower.wait_over()
    assert follow(token).response.status_code == 401


def test_wrong_requests(api, app):
    path = f"/app/{app['id']}/stream"
    message = api.send(app)
    for last in ("msg_", "x", message["id"][:-1], message["id"].replace("msg_", "atmpt_"), app["id"]):
        is_invalid(api.get(path, headers={"Last-Event-ID": last}), "header", "last-event-id")
    is_error(api.get(path, params={"endpoint_id": "ep_none"}), 404, "not_found")
    assert api.get(path, params={"with_content": "maybe"}).status_code == 400
    assert api.get(path, params={"event_types": ",".join(f"t{n}" for n in range(101))}).status_code == 422
    head = api.request("HEAD", path)
    assert head.status_code == 200 and head.headers["content-type"] == "text/event-stream"


def test_what_is_no_longer_kept_is_told(api, app, follow):
    gone = api.send(api.new_app())  # of another application: nothing is known of it here
    follower = follow(last=gone["id"])
    (gap,) = follower.wait_count(1)
    assert gap.name == "gap" and gap.id is None and gap.data["lastEventId"] == gone["id"]
    message = api.send(app)
    assert follower.wait_count(2)[1].id == message["id"]


def test_what_was_pruned_is_a_gap():
    with Server() as server:
        api = server.api()
        app = api.new_app()
        first = api.send(app)
        later = api.send(app)

        def are_gone():
            server.run("prune", "--older-than", "1s")
            return api.ok("GET", f"/app/{app['id']}/msg")["data"] == []

        wait_for(are_gone, 20, "the messages to be deleted")
        with Follower(server, api.token, app["id"], last=first["id"]) as follower:
            (gap,) = follower.wait_count(1)
            assert gap.name == "gap" and gap.data["lastEventId"] == first["id"]
            message = api.send(app)
            assert follower.wait_count(2)[1].id == message["id"]
        with Follower(server, api.token, app["id"], last=message["id"]) as follower:
            later = api.send(app)
            assert follower.wait_count(1)[0].id == later["id"]


# ---- many, slow, and at the end ----


class Stuck:
    """A client that asks and does not read until it is told to."""

    def __init__(self, server, token, app_id, query=""):
        host, port = server.url.split("://")[1].rsplit(":", 1)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        self.socket.settimeout(net(30))
        self.socket.connect((host, int(port)))
        self.socket.sendall(
            f"GET /api/v1/app/{app_id}/stream{query} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.socket.recv(1)
        assert self.head.startswith(b"HTTP/1.1 200 ")

    def ids_until(self, last):
        """The ids of all that comes, up to `last`. Chunks may break an event anywhere, so they are taken out."""
        file = self.socket.makefile("rb", 1 << 20)
        ids = []
        rest = b""
        while last not in ids[-1:]:
            text = rest + file.read(int(file.readline(), 16))
            assert file.read(2) == b"\r\n"
            lines = text.split(b"\n")
            rest = lines.pop()
            ids += [line[4:].decode() for line in lines if line.startswith(b"id: msg_")]
        file.close()
        return ids


def test_who_does_not_read_costs_nobody():
    payload = {"text": "x" * 100_000}
    with Server() as server:
        api = server.api()
        app = api.new_app()
        stuck = Stuck(server, api.token, app["id"], "?with_content=true")
        with Follower(server, api.token, app["id"]) as other:
            sent = [api.send(app, payload) for _ in range(100)]
            other.wait_count(len(sent))
            before = server.rss_bytes()
            sent += [api.send(app, payload) for _ in range(300)]
            other.wait_count(len(sent))
            assert other.ids() == [message["id"] for message in sent]
            # Thirty more megabytes are on their way to somebody who does not read.
            assert SANITIZED or server.rss_bytes() - before < 10_000_000
            # It has lost nothing, should it read on.
            assert stuck.ids_until(sent[-1]["id"]) == [message["id"] for message in sent]
            stuck.socket.close()


def test_a_limit_of_streams_and_of_those_of_one_application():
    with Server({"http.streams_max": "66"}) as server:
        api = server.api()
        app = api.new_app()
        other = api.new_app()
        third = api.new_app()
        with contextlib.ExitStack() as stack:
            followers = [stack.enter_context(Follower(server, api.token, app["id"])) for _ in range(64)]
            refused = Follower(server, api.token, app["id"]).response
            assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
            followers += [stack.enter_context(Follower(server, api.token, other["id"])) for _ in range(2)]
            assert Follower(server, api.token, third["id"]).response.status_code == 503
            message = api.send(app)
            for follower in followers[:64]:
                assert follower.wait_count(1)[0].id == message["id"]
            followers[0].close()
            followers[-1].close()

            def free():
                with Follower(server, api.token, third["id"]) as again:
                    return again.response.status_code == 200

            wait_for(free, 10, "a free place")


def test_streams_end_with_the_server():

    def stop():
        with Server() as server:
            api = server.api()
            app = api.new_app()
            with contextlib.ExitStack() as stack:
                followers = [stack.enter_context(Follower(server, api.token, app["id"])) for _ in range(20)]
                api.send(app)
                for follower in followers:
                    follower.wait_count(1)
                begin = time.monotonic()
                server.stop()
                took = time.monotonic() - begin
                for follower in followers:
                    follower.wait_over()
                    assert not follower.is_broken, "the answer ended properly"
            server.start()
        return took

    assert quickest(stop, 5) < 5


def test_signs_of_life(app, follow, api):
    """Proxies close what is quiet; and a stream that nobody follows any more is noticed."""
    follower = follow()
    follower.wait(lambda f: f.comments >= 1, 20, "a comment")
    assert follower.events == []
    message = api.send(app)
    assert follower.wait_count(1)[0].id == message["id"]


def test_over_tls(tmp_path):
    authority = Authority(tmp_path)
    pem = authority.file("127.0.0.1")
    context = ssl.create_default_context(cafile=authority.ca_file)
    with Server({"tls_cert_file": pem, "tls_key_file": pem}) as server:
        with httpx.Client(verify=context, trust_env=False, timeout=net(5)) as client:
            headers = {"Authorization": f"Bearer {server.org_token}"}
            app = client.post(f"{server.url}/api/v1/app", json={"name": "a"}, headers=headers).json()
            with Follower(server, server.org_token, app["id"], verify=context) as follower:
                path = f"{server.url}/api/v1/app/{app['id']}/msg"
                ids = [
                    client.post(path, json={"eventType": "a", "payload": {}}, headers=headers).json()["id"]
                    for _ in range(50)
                ]
                follower.wait_count(50)
                assert follower.ids() == ids


# ---- across a kill ----


def publish(api, app, count, accepted):
    """Publishes `count` messages, each until it is accepted; one that was stored before the answer got lost is a
    conflict the next time."""
    for number in range(count):
        event_id = f"event-{number}"
        body = {"eventType": "a", "eventId": event_id, "payload": {"n": number}}

        def is_stored():
            try:
                return api.post(f"/app/{app['id']}/msg", body).status_code in (202, 409)
            except httpx.TransportError:
                return False

        wait_for(is_stored, 30, f"{event_id} to be stored")
        accepted.append(event_id)


@pytest.mark.smoke
def test_nothing_is_lost_or_doubled_across_a_kill(receiver, path):
    with Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        accepted = []
        events = []
        publisher = threading.Thread(target=publish, args=(api, app, 1000, accepted))
        follower = Follower(server, api.token, app["id"])
        publisher.start()
        follower.wait(lambda f: len(f.events) >= 300, 60, "the first events")
        server.kill()
        follower.wait_over()
        assert follower.is_broken
        events += follower.events
        follower.close()
        server.start()
        follower = Follower(server, api.token, app["id"], last=events[-1].id)
        publisher.join(net(120))
        assert len(accepted) == 1000
        follower.wait(lambda f: len(events) + len(f.events) >= 2000, 60, "the last events")
        marker = api.send(app)
        follower.wait(lambda f: marker["id"] in f.ids(), what="the marker")
        events += follower.events
        follower.close()
        messages = [event for event in events if event.name == "message" and event.id != marker["id"]]
        assert [message.data["eventId"] for message in messages] == accepted
        events = [event for event in events if event.data.get("msgId", event.id) != marker["id"]]
        assert is_in_order(events)
        # All attempts that the store has, each once.
        listed = []
        for message in messages[::50]:
            listed += [a["id"] for a in api.attempts(app, {"id": message.id})]
        told = [event.id for event in events if event.name == "attempt"]
        assert len(told) == len(set(told)) and set(listed) <= set(told)
        assert {event.data["msgId"] for event in events if event.name == "attempt"} == {m.id for m in messages}
