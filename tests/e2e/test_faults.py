# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave: time and size limits, the retry schedule, Retry-After, 410 and the receiver's wishes."""

import re
import socket
import sqlite3
import threading
import time
from datetime import datetime, timezone
from email.utils import format_datetime

import httpx
import pytest
from harness.api import FAIL, SUCCESS, is_error
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SLOWNESS, net, quickest, wait_for


@pytest.fixture(scope="module")
def impatient():
    """One second for each attempt, and one attempt only."""
    with Server({"delivery_timeout": "1", "retry_schedule": ""}) as running:
        yield running.api()


@pytest.fixture(scope="module")
def once():
    """One attempt only, with all the time that it needs."""
    with Server({"retry_schedule": ""}) as running:
        yield running.api()


def metric(server, name):
    text = httpx.get(server.url + "/metrics", trust_env=False, timeout=net(5)).text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE).group(1))


def one_attempt(api, receiver, path, reply):
    receiver.script(path, reply)
    app = api.new_app()
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    (attempt,) = api.wait_final(app, message, endpoint)
    return attempt, receiver.requests(path)[0]


TOO_SLOW = {
    "no answer": Reply(hang=True),
    "a late answer": Reply(200, delay=60),
    "a dripping body": Reply(200, drip=0.1),
    "endless informational answers": Reply(raw=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20000),
}


@pytest.mark.smoke
@pytest.mark.parametrize("reply", TOO_SLOW.values(), ids=TOO_SLOW.keys())
def test_the_total_time_is_limited(impatient, receiver, path, reply):
    attempt, request = one_attempt(impatient, receiver, path, reply)
    assert attempt["status"] == FAIL
    if reply.raw is None:
        assert 900 <= attempt["responseDurationMs"] <= 20000
        assert "time" in attempt["response"].lower() or attempt["response"].startswith("."), attempt["response"]
        if not reply.delay:
            wait_for(lambda: request.peer_closed, 5, "the sender to close the connection")


@pytest.mark.smoke
@pytest.mark.parametrize("number, status", [(1, SUCCESS), (50, SUCCESS), (101, FAIL)])
def test_informational_answers_are_counted(once, receiver, path, number, status):
    attempt, _ = one_attempt(once, receiver, path, Reply(200, informational=number))
    assert attempt["status"] == status


@pytest.mark.smoke
def test_endless_headers_are_cut(once, receiver, path):
    attempt, request = one_attempt(once, receiver, path, Reply(endless_headers=True))
    assert attempt["status"] == FAIL and attempt["responseStatusCode"] == 0
    wait_for(lambda: request.peer_closed, 5, "the sender to close the connection")


@pytest.mark.smoke
def test_a_huge_body_is_cut_and_the_status_decides(api, server, receiver, path):
    before = server.rss_bytes()
    receiver.script(path, Reply(200, huge=256 << 20))
    app = api.new_app()
    endpoint = api.new_endpoint(app, receiver.url(path))
    (attempt,) = api.wait_final(app, api.send(app), endpoint)
    assert attempt["status"] == SUCCESS and attempt["response"] == "x" * 20000
    request = receiver.requests(path)[0]
    wait_for(lambda: request.peer_closed, 5, "the sender to close the connection")
    # 64 KiB are read; the kernel's buffers on both sides take some more.
    assert request.sent_bytes < 24 << 20
    assert server.rss_bytes() - before < (4 << 20) * SLOWNESS


@pytest.mark.smoke
def test_a_huge_error_body_stays_an_error(once, receiver, path):
    attempt, _ = one_attempt(once, receiver, path, Reply(500, huge=16 << 20))
    assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 500)
    assert attempt["response"] == "x" * 20000


NOT_HTTP = {
    "nothing": b"",
    "words": b"hello\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Len",
    "a short body": b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nshort",
    "a bad chunk": b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.smoke
@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_a_failure(once, receiver, path, raw):
    attempt, _ = one_attempt(once, receiver, path, Reply(raw=raw))
    assert attempt["status"] == FAIL and attempt["response"]


# ---- the schedule ----


def gaps(requests):
    times = [request.at for request in requests]
    return [later - earlier for earlier, later in zip(times, times[1:])]


@pytest.mark.serial
def test_the_schedule_is_kept_with_jitter(receiver, path):
    delays = [0.4, 0.8]
    with Server({"retry_schedule": "0.4,0.8"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))

        def measure():
            messages = [api.send(app) for _ in range(10)]
            seen = []
            for message in messages:
                assert len(api.wait_final(app, message, endpoint)) == 3
                seen.append(gaps(receiver.wait_message(message["id"], path, 3)))
            for pair in seen:
                assert all(gap >= delay * 0.8 - 0.02 for gap, delay in zip(pair, delays)), pair
            for position in (0, 1):
                column = [pair[position] for pair in seen]
                assert max(column) - min(column) > 0.02, "ten delays within 20 ms: there is no jitter"
            return max(gap - delay * 1.2 for pair in seen for gap, delay in zip(pair, delays))

        # The early side has no room; the late side has some for a busy machine.
        assert quickest(measure, 0.4) < 0.4


@pytest.mark.serial
def test_without_jitter(receiver, path):
    with Server({"retry_schedule": "0.5", "retry_jitter": "0"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))

        def measure():
            message = api.send(app)
            api.wait_final(app, message, endpoint)
            (gap,) = gaps(receiver.wait_message(message["id"], path, 2))
            assert gap >= 0.49
            return gap - 0.5

        for _ in range(3):
            assert quickest(measure, 0.3) < 0.3


@pytest.mark.smoke
def test_an_empty_schedule_is_one_attempt(once, receiver, path):
    attempt, _ = one_attempt(once, receiver, path, Reply(500))
    assert attempt["responseStatusCode"] == 500


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize("form", ["seconds", "fraction", "date"])
def test_retry_after_is_honoured(api, app, receiver, path, status, form):
    value, date = {"seconds": "1", "fraction": "0.9", "date": None}[form], 0
    if value is None:
        # A date has whole seconds: four ahead is between three and four seconds from now.
        date = int(time.time()) + 4
        value = format_datetime(datetime.fromtimestamp(date, timezone.utc), usegmt=True)
    receiver.script(path, Reply(status, [("Retry-After", value)]), Reply(200))
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    api.wait_final(app, message, endpoint)
    requests = receiver.wait_message(message["id"], path, 2)
    (gap,) = gaps(requests)
    assert requests[1].wall >= date - 0.02 and gap <= 30 * SLOWNESS
    if form != "date":
        assert gap >= 0.99, "the schedule alone gives 0.05 s"


@pytest.mark.smoke
@pytest.mark.parametrize("value", ["", "soon", "-5", "0", "1e9999", "99999999999999999999999", "Mon, 99 Nonsense"])
def test_a_strange_retry_after_does_no_harm(receiver, path, value):
    with Server({"retry_after_cap": "0.2"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503, [("Retry-After", value)]), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        attempts = api.wait_final(app, api.send(app), endpoint)
        assert [a["status"] for a in attempts] == [FAIL, SUCCESS]


def test_retry_after_has_a_cap(receiver, path):
    with Server({"retry_after_cap": "0.6"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503, [("Retry-After", "86400")]), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        api.wait_final(app, message, endpoint)
        (gap,) = gaps(receiver.wait_message(message["id"], path, 2))
        assert 0.45 <= gap <= 30 * SLOWNESS


# ---- endpoints that are switched off ----


def is_disabled(api, app, endpoint):
    return api.ok("GET", f"/app/{app['id']}/endpoint/{endpoint['id']}")["disabled"]


SWITCH_OFF = {"410": Reply(410), "the wish": Reply(503, [("webhook-delivery", "disable")])}


@pytest.mark.smoke
@pytest.mark.parametrize("reply", SWITCH_OFF.values(), ids=SWITCH_OFF.keys())
def test_an_endpoint_is_disabled_by_its_receiver(api, app, receiver, path, reply):
    receiver.script(path, reply)
    endpoint = api.new_endpoint(app, receiver.url(path))
    other = api.new_endpoint(app, receiver.url(path + "-other"))
    message = api.send(app)
    (attempt,) = api.wait_attempts(app, message, 1, endpoint_id=endpoint["id"])
    assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, reply.status)
    wait_for(lambda: is_disabled(api, app, endpoint), 5, "the endpoint to be disabled")
    assert not is_disabled(api, app, other)
    later = api.send(app)
    api.wait_final(app, later, other)
    assert api.destination(app, later, endpoint) is None
    assert [request.message_id for request in receiver.requests(path)] == [message["id"]], "no retry, nothing new"
    # Enabled again, it gets what comes from then on.
    receiver.script(path, Reply(200))
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": False})
    again = api.send(app)
    api.wait_final(app, again, endpoint)
    assert [request.message_id for request in receiver.requests(path)] == [message["id"], again["id"]]


def test_nothing_follows_a_410(receiver, path):
    """What was waiting behind the attempt that met 410 is not sent, and the endpoint is disabled once."""
    gate = threading.Event()
    with Server({"max_in_flight": "2"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(410, hold=gate))
        endpoint = api.new_endpoint(app, receiver.url(path))
        for _ in range(20):
            api.send(app)
        receiver.wait(path, 2)
        gate.set()
        wait_for(lambda: is_disabled(api, app, endpoint), 5, "the endpoint to be disabled")
        assert len(receiver.requests(path)) == 2
        # It is counted behind the commit that others can see.
        wait_for(lambda: metric(server, "posthorn_endpoints_disabled_total") > 0, 5, "the endpoint to be counted")
        assert metric(server, "posthorn_endpoints_disabled_total") == 1


def test_410_can_be_an_ordinary_failure(receiver, path):
    with Server({"disable_on_gone": "false"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(410), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        attempts = api.wait_final(app, api.send(app), endpoint)
        assert [a["responseStatusCode"] for a in attempts] == [410, 200]
        assert not is_disabled(api, app, endpoint)


@pytest.mark.smoke
def test_a_receiver_may_give_up_a_message(api, app, receiver, path):
    receiver.script(path, Reply(500, [("Webhook-Delivery", "abort-message")]), Reply(200))
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    attempts = api.wait_final(app, message, endpoint)
    assert [a["responseStatusCode"] for a in attempts] == [500]
    assert api.destination(app, message, endpoint)["status"] == FAIL
    assert not is_disabled(api, app, endpoint)
    later = api.send(app)
    assert [a["status"] for a in api.wait_final(app, later, endpoint)] == [SUCCESS]


@pytest.mark.smoke
def test_an_unknown_wish_is_ignored(api, app, receiver, path):
    receiver.script(path, Reply(500, [("webhook-delivery", "dance")]), Reply(200))
    endpoint = api.new_endpoint(app, receiver.url(path))
    assert [a["status"] for a in api.wait_final(app, api.send(app), endpoint)] == [FAIL, SUCCESS]
    assert not is_disabled(api, app, endpoint)


def test_long_failure_disables(receiver, path):
    """0.0003 hours are about a second: a message that runs out of retries later than that after the first such one."""
    with Server({"retry_schedule": "0.05", "endpoint_failure_disable_after": "0.0003"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(404))
        endpoint = api.new_endpoint(app, receiver.url(path))
        start = time.monotonic()
        first = api.send(app)
        api.wait_final(app, first, endpoint)
        assert not is_disabled(api, app, endpoint), "one message is not long failure"

        def disabled():
            api.send(app)
            return is_disabled(api, app, endpoint)

        wait_for(disabled, 15, "the endpoint to be disabled", step=0.1)
        assert time.monotonic() - start >= 1.0


def test_a_success_clears_the_failure(receiver, path):
    with Server({"retry_schedule": "", "endpoint_failure_disable_after": "0.0003"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, *[Reply(404), Reply(200)] * 40)
        endpoint = api.new_endpoint(app, receiver.url(path))
        start = time.monotonic()
        sent = 0
        # Failure and success in turn for twice the limit: it is never "failing since".
        while (time.monotonic() - start < 2.5 or sent < 4) and sent < 79:
            api.wait_final(app, api.send(app), endpoint)
            sent += 1
        assert not is_disabled(api, app, endpoint)


# ---- disable, delete and what waits ----


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["disable", "delete", "delete the application"])
def test_nothing_is_sent_after_the_end(receiver, path, how):
    with Server({"retry_schedule": "4,0.1"}) as server:
        api = server.api()
        app, other = api.new_app(), api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))
        receiver.script(path + "-other", Reply(500))
        witness = api.new_endpoint(other, receiver.url(path + "-other"))
        messages = [api.send(app) for _ in range(5)]
        for message in messages:
            api.wait_attempts(app, message)
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}"
        if how == "disable":
            api.ok("PATCH", url, {"disabled": True})
        elif how == "delete":
            api.ok("DELETE", url, None, 204)
        else:
            api.ok("DELETE", f"/app/{app['id']}", None, 204)
        seen = len(receiver.requests(path))
        # A witness with the same schedule starts now and runs to its end: every retry of the others would be over.
        assert len(api.wait_final(other, api.send(other), witness)) == 3
        assert len(receiver.requests(path)) == seen
        if how == "disable":
            # Enabling does not revive what was cancelled.
            api.ok("PATCH", url, {"disabled": False})
            assert len(api.wait_final(other, api.send(other), witness)) == 3
            assert len(receiver.requests(path)) == seen


def test_an_attempt_in_flight_ends_after_a_delete(api, app, receiver, path):
    gate = threading.Event()
    receiver.script(path, Reply(200, hold=gate))
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    receiver.wait(path)
    api.ok("DELETE", f"/app/{app['id']}/endpoint/{endpoint['id']}", None, 204)
    gate.set()
    wait_for(lambda: receiver.requests(path)[0].answered_at, 5, "the receiver to answer")
    api.wait_attempts(app, message)
    is_error(api.get(f"/app/{app['id']}/endpoint/{endpoint['id']}"), 404, "not_found")
    assert len(receiver.requests(path)) == 1


# ---- fairness ----


def test_many_hanging_endpoints_of_one_application_leave_room_for_others(receiver, path):
    """More attempts than the server makes at once hang with one application's receivers; another's go out."""
    patient = Server({"delivery_timeout": "300"})
    with patient as server, socket.create_server(("127.0.0.1", 0), backlog=2048) as silent:
        # It connects, and nobody ever reads.
        api = server.api()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        crowd = api.new_app()
        for _ in range(60):
            api.new_endpoint(crowd, url)
        for _ in range(20):
            api.send(crowd)
        in_flight = lambda: metric(server, "posthorn_in_flight")  # noqa: E731
        wait_for(lambda: in_flight() >= 400, 10, lambda: f"many attempts in flight; there are {in_flight()}")
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        for _ in range(20):
            api.wait_final(app, api.send(app), endpoint)
        assert 400 <= in_flight() <= 600, "half of what it can is kept for others"
        server.kill()


# ---- the store's log ----


def test_a_log_that_cannot_begin_anew_stops_messages():
    """Somebody's forgotten read transaction keeps the write-ahead log from being used again: before it
    fills the disk, callers are told to wait, and all is well when the transaction ends."""
    with Server({"wal_bytes_max": "20MiB"}) as server:
        api = server.api()
        app = api.new_app()
        reader = sqlite3.connect(f"file:{server.data}/posthorn.db?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()
        body = {"eventType": "a", "payload": {"pad": "x" * 500000}}
        send = lambda: api.post(f"/app/{app['id']}/msg", body)  # noqa: E731
        statuses = [send().status_code for _ in range(60)]
        assert statuses[:20] == [202] * 20 and statuses[-1] == 503, statuses
        assert api.ok("GET", f"/app/{app['id']}/msg?limit=1")["data"]
        assert (server.data / "posthorn.db-wal").stat().st_size < 40 << 20
        reader.execute("COMMIT")
        reader.close()
        wait_for(lambda: send().status_code == 202, 5, "messages to be taken again")


# ---- the circuit breaker ----


def test_the_breaker_opens_and_closes(receiver, path):
    """While it is open a burst of messages costs the broken receiver next to nothing; when the receiver is well again
    all of them arrive."""
    settings = {
        "retry_schedule": "5,5,5,5,5,5",
        "retry_jitter": "0",
        "breaker_min_attempts": "5",
        "breaker_failure_ratio": "0.5",
        "breaker_window": "60",
        "breaker_open": "0.5",
    }
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path), maxInFlight=1)
        for _ in range(5):
            api.wait_attempts(app, api.send(app))
        before = len(receiver.requests(path))
        waiting = [api.send(app) for _ in range(40)]
        # Two openings later (0.5 s, then 1 s) only probes have been let through.
        receiver.wait(path, before + 2)
        assert len(receiver.requests(path)) <= before + 5
        receiver.script(path, Reply(200))
        for message in waiting:
            api.wait_final(app, message, endpoint, timeout=30)
            assert api.destination(app, message, endpoint)["status"] == SUCCESS


def test_the_breaker_is_no_wall_for_a_resend(receiver, path):
    """Somebody who sends again by hand wants to see now whether the receiver is well."""
    settings = {"retry_schedule": "600", "breaker_min_attempts": "3", "breaker_open": "300"}
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        messages = [api.send(app) for _ in range(3)]
        for message in messages:
            api.wait_attempts(app, message)
        wait_for(lambda: "circuit breaker opened" in server.log(), 5, "the breaker to open")
        later = api.send(app)
        receiver.script(path, Reply(200))
        api.ok("POST", f"/app/{app['id']}/msg/{messages[0]['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
        # It came through, so the breaker closes, and what waited goes out.
        api.wait_final(app, later, endpoint)
        wait_for(lambda: "circuit breaker closed" in server.log(), 5, "the breaker to close")


def test_one_attempt_only_still_gets_its_probe(receiver, path):
    """Without retries too the breaker puts deliveries off, and an endpoint that is well again gets them."""
    settings = {"retry_schedule": "", "breaker_min_attempts": "3", "breaker_open": "0.5"}
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        for _ in range(3):
            api.wait_attempts(app, api.send(app))
        wait_for(lambda: "circuit breaker opened" in server.log(), 5, "the breaker to open")
        receiver.script(path, Reply(200))
        for message in [api.send(app) for _ in range(5)]:
            assert api.wait_final(app, message, endpoint, timeout=10)[-1]["status"] == SUCCESS
        wait_for(lambda: "circuit breaker closed" in server.log(), 5, "the breaker to close")


def test_what_outlives_its_schedule_behind_the_breaker_fails(receiver, path):
    settings = {"retry_schedule": "1", "retry_jitter": "0", "breaker_min_attempts": "3", "breaker_open": "1"}
    with Server(settings) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        for _ in range(3):
            api.wait_attempts(app, api.send(app))
        waiting = [api.send(app) for _ in range(20)]
        finals = [api.wait_final(app, message, endpoint, timeout=20) for message in waiting]
        said = [attempts[-1]["response"] for attempts in finals]
        assert any("circuit breaker" in text for text in said), said
        assert len(receiver.requests(path)) < 3 + 3 + 20, "most of them never reached the receiver"
