# SPDX-License-Identifier: Apache-2.0
"""Polled sinks: what they give, in which order, and how far a named consumer has come."""

import itertools
import threading
from datetime import datetime, timedelta, timezone

import pytest
from harness.api import DATE, is_error, is_invalid, unique
from harness.server import Server
from harness.wait import net, wait_for
from svix.api import (
    MessageIn,
    MessagePollerConsumerPollOptions,
    MessagePollerPollOptions,
    PollingEndpointConsumerSeekIn,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def svix(server):
    return Svix(server.org_token, SvixOptions(server_url=server.url, timeout=net(30)))


def new_sink(api, app, **fields):
    return api.ok("POST", f"/app/{app['id']}/sink", {"type": "poller", **fields}, 201)


@pytest.fixture
def sink(api, app):
    return new_sink(api, app)


def poll(api, app, sink, consumer=None, **params):
    tail = f"/consumer/{consumer}" if consumer else ""
    return api.ok("GET", f"/app/{app['id']}/poller/{sink['id']}{tail}", params=params)


def numbers(page):
    return [row["payload"]["n"] for row in page["data"]]


def send(api, app, *values, **fields):
    return [api.send(app, {"n": value}, **fields) for value in values]


# ---- sinks ----


def test_the_life_of_a_sink(api, app):
    kinds = [api.new_event_type()["name"] for _ in range(2)]
    uid = unique("sink")
    root = f"/app/{app['id']}/sink"
    made = new_sink(api, app, uid=uid, eventTypes=kinds[:1], channels=["a", "b"])
    assert made["id"].startswith("sink_") and DATE.match(made["createdAt"])
    assert (made["type"], made["uid"], made["eventTypes"], made["channels"]) == ("poller", uid, kinds[:1], ["a", "b"])
    for name in (made["id"], uid):
        assert api.ok("GET", f"{root}/{name}") == made
    patched = api.ok("PATCH", f"{root}/{uid}", {"eventTypes": kinds, "channels": None})
    assert (patched["eventTypes"], patched["channels"], patched["uid"]) == (kinds, None, uid)
    put = api.ok("PUT", f"{root}/{made['id']}", {"type": "poller"})
    assert (put["id"], put["uid"], put["eventTypes"]) == (made["id"], None, None)
    other = api.ok("PUT", f"{root}/not-there", {"type": "poller", "uid": uid}, 201)
    assert other["id"] != made["id"]
    is_error(api.patch(f"{root}/{made['id']}", {"uid": uid}), 409, "conflict")
    is_error(api.post(root, {"type": "poller", "uid": uid}), 409, "conflict")
    assert [row["id"] for row in api.ok("GET", root)["data"]] == [other["id"], made["id"]]
    page = api.ok("GET", root, params={"limit": 1, "order": "ascending"})
    assert [row["id"] for row in page["data"]] == [made["id"]] and page["done"] is False
    api.ok("DELETE", f"{root}/{uid}", None, 204)
    is_error(api.get(f"{root}/{other['id']}"), 404, "not_found")
    is_error(api.delete(f"{root}/{uid}"), 404, "not_found")


@pytest.mark.parametrize(
    "body, loc",
    [
        ({}, ("type",)),
        ({"type": "http"}, ("type",)),
        ({"type": None}, ("type",)),
        ({"type": "poller", "uid": "sink_x"}, ("uid",)),
        ({"type": "poller", "uid": "a b"}, ("uid",)),
        ({"type": "poller", "eventTypes": []}, ("eventTypes",)),
        ({"type": "poller", "eventTypes": ["never.registered"]}, ("eventTypes",)),
        ({"type": "poller", "channels": []}, ("channels",)),
        ({"type": "poller", "channels": ["a b"]}, ("channels",)),
    ],
    ids=str,
)
def test_what_a_sink_cannot_be(api, app, body, loc):
    is_invalid(api.post(f"/app/{app['id']}/sink", body), "body", *loc)


def test_a_sink_belongs_to_its_application(server, api, app, sink):
    other = api.new_app()
    for path in (f"/app/{other['id']}/sink/{sink['id']}", f"/app/{other['id']}/poller/{sink['id']}"):
        is_error(api.get(path), 404, "not_found")
    own = server.api(server.app_token(app["id"]))
    assert poll(own, app, sink)["data"] == []
    stranger = server.api(server.app_token(other["id"]))
    is_error(stranger.get(f"/app/{app['id']}/poller/{sink['id']}"), 404, "not_found")
    token = api.ok("POST", f"/auth/app-portal-access/{app['id']}", {"readOnly": True})["token"]
    viewer = server.api(token)
    assert poll(viewer, app, sink)["data"] == []
    is_error(viewer.get(f"/app/{app['id']}/poller/{sink['id']}/consumer/c"), 403, "insufficient access")
    seek = f"/app/{app['id']}/poller/{sink['id']}/consumer/c/seek"
    is_error(viewer.post(seek, {"after": "2026-01-01T00:00:00Z"}), 403, "insufficient access")


# ---- polling ----


def test_the_sdk_reads_what_comes(svix, api, app):
    uid = unique("sink")
    sink = new_sink(api, app, uid=uid)
    first = svix.message.poller.poll(app["id"], uid)
    assert (first.data, first.done) == ([], True) and first.iterator
    given = [MessageIn(event_type="a.b", payload={"n": n}, event_id=unique("e"), channels=["c"]) for n in range(5)]
    made = [svix.message.create(app["id"], message) for message in given]
    seen, iterator = [], first.iterator
    for expected in ([0, 1], [2, 3], [4]):
        page = svix.message.poller.poll(app["id"], sink["id"], MessagePollerPollOptions(limit=2, iterator=iterator))
        assert [row.payload["n"] for row in page.data] == expected
        assert page.done is (expected == [4])
        seen += page.data
        iterator = page.iterator
    assert [row.id for row in seen] == [message.id for message in made]
    assert [(row.event_type, row.event_id, row.channels) for row in seen] == [
        (message.event_type, message.event_id, message.channels) for message in made
    ]
    assert [row.timestamp for row in seen] == [message.timestamp for message in made]
    last = svix.message.poller.poll(app["id"], sink["id"], MessagePollerPollOptions(iterator=iterator))
    assert (last.data, last.iterator, last.done) == ([], iterator, True)
    # An older iterator reads the same again; a poll without one begins where the sink begins.
    again = svix.message.poller.poll(app["id"], sink["id"], MessagePollerPollOptions(limit=2, iterator=first.iterator))
    assert [row.id for row in again.data] == [message.id for message in made[:2]]
    assert len(svix.message.poller.poll(app["id"], sink["id"]).data) == 5


def test_it_begins_with_the_sink(api, app):
    send(api, app, 1, 2)
    sink = new_sink(api, app)
    send(api, app, 3)
    assert numbers(poll(api, app, sink)) == [3]
    hour_ago = (datetime.now(timezone.utc) - timedelta(hours=1)).isoformat()
    assert numbers(poll(api, app, sink, after=hour_ago)) == [1, 2, 3]


def test_after(api, app, sink):
    messages = send(api, app, 1)
    # Times of messages are four milliseconds apart at least when they differ.
    def later():
        message = api.send(app, {"n": 2})
        return message if message["timestamp"] != messages[0]["timestamp"] else None

    second = wait_for(later, 10, "a message of another tick")
    page = poll(api, app, sink, after=second["timestamp"])
    assert second["id"] in [row["id"] for row in page["data"]]
    assert messages[0]["id"] not in [row["id"] for row in page["data"]]
    assert poll(api, app, sink, after="2099-01-01T00:00:00Z")["data"] == []
    begin = poll(api, app, sink, limit=1)["iterator"]
    both = poll(api, app, sink, after=second["timestamp"], iterator=begin)
    assert messages[0]["id"] not in [row["id"] for row in both["data"]]


def test_filters(api, app):
    kinds = [api.new_event_type()["name"] for _ in range(3)]
    by_type = new_sink(api, app, eventTypes=kinds[:2])
    by_channel = new_sink(api, app, channels=["x", "y"])
    everything = new_sink(api, app)
    send(api, app, 1, event_type=kinds[0])
    send(api, app, 2, event_type=kinds[1], channels=["x"])
    send(api, app, 3, event_type=kinds[2], channels=["y", "z"])
    send(api, app, 4, event_type=kinds[2], channels=["z"])
    send(api, app, 5, event_type="never.registered")
    assert numbers(poll(api, app, by_type)) == [1, 2]
    assert numbers(poll(api, app, by_channel)) == [2, 3]
    assert numbers(poll(api, app, everything)) == [1, 2, 3, 4, 5]
    assert numbers(poll(api, app, everything, event_type=kinds[2])) == [3, 4]
    assert numbers(poll(api, app, everything, channel="z")) == [3, 4]
    assert numbers(poll(api, app, by_channel, channel="z")) == [3]
    assert numbers(poll(api, app, by_type, event_type=kinds[2])) == []
    # What the filters left out is behind the iterator too.
    page = poll(api, app, by_type)
    assert page["done"] and page["iterator"] == poll(api, app, everything)["iterator"]


def test_a_payload_that_is_gone(api, app, sink):
    first, second = send(api, app, 1, 2)
    api.ok("DELETE", f"/app/{app['id']}/msg/{first['id']}/content", None, 204)
    page = poll(api, app, sink)
    assert [row["payload"] for row in page["data"]] == [{"expired": True}, {"n": 2}]
    assert [row["id"] for row in page["data"]] == [first["id"], second["id"]]


def test_payloads_are_given_as_they_were_published(api, app, sink):
    text = b'{"n":1.10,  "big":12345678901234567890123}'
    api.send_text(app, text)
    response = api.get(f"/app/{app['id']}/poller/{sink['id']}")
    assert text in response.content


def test_a_page_looks_at_so_many_messages_only(server, api, app):
    """A rare type among thousands: pages that are empty and not done, until the message is found."""
    kind = api.new_event_type()["name"]
    sink = new_sink(api, app, eventTypes=[kind])
    with_content = {"with_content": "false"}
    done = threading.Semaphore(0)

    def flood(count):
        client = server.api()
        for _ in range(count):
            client.ok("POST", f"/app/{app['id']}/msg", {"eventType": "usual", "payload": {}}, 202, params=with_content)
        done.release()

    for _ in range(8):
        threading.Thread(target=flood, args=(650,)).start()
    for _ in range(8):
        done.acquire()
    send(api, app, 7, event_type=kind)
    first = poll(api, app, sink)
    assert (first["data"], first["done"]) == ([], False)
    second = poll(api, app, sink, iterator=first["iterator"])
    assert numbers(second) == [7] and second["done"]


def test_bad_queries(api, app, sink):
    path = f"/app/{app['id']}/poller/{sink['id']}"
    for tail in ("", "/consumer/c"):
        for iterator in ("x", "-x", "msg_" + "0" * 27, sink["id"], "msg_" + "z" * 27):
            is_invalid(api.get(path + tail, params={"iterator": iterator}), "query", "iterator")
        is_invalid(api.get(path + tail, params={"limit": 251}), "query", "limit")
        is_invalid(api.get(path + tail, params={"limit": 0}), "query", "limit")
        is_error(api.get(path + tail, params={"limit": "x"}), 400, "generic_error")
    is_error(api.get(path, params={"after": "yesterday"}), 400, "generic_error")
    is_error(api.get(f"/app/{app['id']}/poller/none"), 404, "not_found")
    is_error(api.get(f"/app/{app['id']}/poller/none/consumer/c"), 404, "not_found")
    is_invalid(api.get(f"{path}/consumer/a%20b"), "path", "consumer_id")
    is_invalid(api.get(f"{path}/consumer/{'c' * 257}"), "path", "consumer_id")
    is_invalid(api.post(f"{path}/consumer/c/seek", {}), "body", "after")
    is_invalid(api.post(f"{path}/consumer/c/seek", {"after": 5}), "body", "after")


# ---- named consumers ----


def test_a_consumer_goes_on_where_it_was(svix, api, app, sink):
    """It comes with each page's iterator; who has lost it asks without one and gets the page again."""
    send(api, app, *range(5))

    def consume(name, iterator=None, limit=2):
        options = MessagePollerConsumerPollOptions(limit=limit, iterator=iterator)
        page = svix.message.poller.consumer_poll(app["id"], sink["id"], name, options)
        return [row.payload["n"] for row in page.data], page.iterator, page.done

    first = consume("billing")
    assert first[0] == [0, 1] and first[2] is False
    assert consume("billing") == first, "nothing says that it is done with it"
    second = consume("billing", first[1])
    assert second[0] == [2, 3] and second[2] is False
    assert consume("billing") == consume("billing") == second
    assert consume("billing", first[1]) == second, "a repeated request"
    third = consume("billing", second[1])
    assert third[0] == [4] and third[2] is True
    assert consume("billing", third[1]) == ([], third[1], True)
    # Another one has its own place, and so has whoever polls without a name.
    assert consume("audit", limit=50)[0] == [0, 1, 2, 3, 4]
    assert len(svix.message.poller.poll(app["id"], sink["id"]).data) == 5
    send(api, app, 5)
    assert consume("billing")[0] == [5]


def test_a_consumer_may_go_back(svix, api, app, sink):
    send(api, app, *range(6))
    begin = poll(api, app, sink, limit=1)["iterator"]
    last = poll(api, app, sink)["iterator"]
    assert numbers(poll(api, app, sink, "c", iterator=last)) == []
    assert numbers(poll(api, app, sink, "c")) == []
    assert numbers(poll(api, app, sink, "c", iterator=begin)) == [1, 2, 3, 4, 5]
    assert numbers(poll(api, app, sink, "c")) == [1, 2, 3, 4, 5]


def test_seek(svix, api, app, sink):
    send(api, app, 1, 2, 3)
    consumer = (app["id"], sink["id"], "seeker")
    assert len(svix.message.poller.consumer_poll(*consumer).data) == 3
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    answer = svix.message.poller.consumer_seek(*consumer, PollingEndpointConsumerSeekIn(after=hour_ago))
    assert answer.iterator
    assert len(svix.message.poller.consumer_poll(*consumer).data) == 3
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    svix.message.poller.consumer_seek(*consumer, PollingEndpointConsumerSeekIn(after=tomorrow))
    send(api, app, 4)
    assert svix.message.poller.consumer_poll(*consumer).data == []
    # A consumer that nobody has heard of may be sent somewhere too.
    svix.message.poller.consumer_seek(app["id"], sink["id"], "new", PollingEndpointConsumerSeekIn(after=hour_ago))
    assert len(svix.message.poller.consumer_poll(app["id"], sink["id"], "new").data) == 4
    with pytest.raises(HttpError) as error:
        svix.message.poller.consumer_seek(app["id"], "none", "c", PollingEndpointConsumerSeekIn(after=hour_ago))
    assert error.value.status_code == 404


def test_a_seek_is_not_undone(api, app, sink):
    """A client that knows nothing of the seek comes with its next iterator: it is told to begin anew."""
    send(api, app, *range(6))
    path = f"/app/{app['id']}/poller/{sink['id']}/consumer/c"
    first = poll(api, app, sink, "c", limit=2)
    second = poll(api, app, sink, "c", limit=2, iterator=first["iterator"])
    sought = api.ok("POST", f"{path}/seek", {"after": "2026-01-01T00:00:00Z"})["iterator"]
    for _ in range(2):
        response = api.get(path, params={"iterator": second["iterator"]})
        assert "without an iterator" in is_error(response, 409, "conflict")["detail"]
    again = poll(api, app, sink, "c", limit=3)
    assert numbers(again) == [0, 1, 2]
    assert numbers(poll(api, app, sink, "c", iterator=again["iterator"])) == [3, 4, 5]
    # The iterator that the seek answered follows it too.
    sought = api.ok("POST", f"{path}/seek", {"after": "2026-01-01T00:00:00Z"})["iterator"]
    page = poll(api, app, sink, "c", limit=4, iterator=sought)
    assert numbers(page) == [0, 1, 2, 3]
    assert numbers(poll(api, app, sink, "c", iterator=page["iterator"])) == [4, 5]


def test_deleting_forgets(api, app):
    uid = unique("sink")
    sink = new_sink(api, app, uid=uid)
    send(api, app, 1)
    assert numbers(poll(api, app, sink, "c")) == [1]
    api.ok("DELETE", f"/app/{app['id']}/sink/{uid}", None, 204)
    is_error(api.get(f"/app/{app['id']}/poller/{uid}/consumer/c"), 404, "not_found")
    again = new_sink(api, app, uid=uid)
    assert poll(api, app, again, "c")["data"] == []


def test_places_survive_a_restart():
    with Server() as server:
        api = server.api()
        app = api.new_app()
        sink = new_sink(api, app)
        send(api, app, 1, 2, 3)
        page = poll(api, app, sink, "c", limit=2)
        assert numbers(poll(api, app, sink, "c", iterator=page["iterator"])) == [3]
        server.restart()
        assert numbers(poll(api, app, sink, "c")) == [3]
        assert numbers(poll(api, app, sink, iterator=page["iterator"])) == [3]
        server.kill()
        server.start()
        send(api, app, 4)
        assert numbers(poll(api, app, sink, "c")) == [3, 4]


def test_nothing_is_left_out_or_doubled_while_messages_come(server, api, app, sink):
    """Writers at full speed; a consumer and a client with its own iterator read along until they have all."""
    total, writers = 2000, 4
    expected = set(range(total))
    counter = itertools.count()

    def write():
        client = server.api()
        while (n := next(counter)) < total:
            client.ok("POST", f"/app/{app['id']}/msg", {"eventType": "a", "payload": {"n": n}}, 202)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    by_consumer, by_iterator, iterator, done = [], [], "", ""

    def read_along():
        nonlocal iterator, done
        page = poll(api, app, sink, "c", limit=17, iterator=done)
        by_consumer.extend(page["data"])
        done = page["iterator"]
        page = poll(api, app, sink, limit=23, iterator=iterator)
        by_iterator.extend(page["data"])
        iterator = page["iterator"]
        return len(by_consumer) >= total and len(by_iterator) >= total

    wait_for(read_along, 60, lambda: f"all of {total}; there are {len(by_consumer)} and {len(by_iterator)}", step=0)
    for thread in threads:
        thread.join()
    for rows in (by_consumer, by_iterator):
        assert {row["payload"]["n"] for row in rows} == expected and len(rows) == total
        ids = [row["id"] for row in rows]
        assert ids == sorted(ids), "in the order of their commits"
    assert poll(api, app, sink, "c", iterator=done)["data"] == []


def test_two_clients_under_one_name_lose_nothing(server, api, app, sink):
    """They share a place, not the work: each gets all, and who moves it at another's moment asks again."""
    total = 300
    send(api, app, *range(total))
    barrier = threading.Barrier(4)
    taken = [[] for _ in range(4)]

    def take(mine):
        client = server.api()
        params = {"limit": 5}
        while True:
            response = client.get(f"/app/{app['id']}/poller/{sink['id']}/consumer/shared", params=params)
            if response.status_code == 409:
                is_error(response, 409, "conflict")
                continue
            assert response.status_code == 200, response.text
            page = response.json()
            if not page["data"]:
                return
            mine.extend(numbers(page))
            if "iterator" not in params:
                barrier.wait()  # all have begun at the start: the first with an iterator moves the place
            params["iterator"] = page["iterator"]

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in taken:
        assert mine == list(range(total))
