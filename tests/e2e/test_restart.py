# SPDX-License-Identifier: Apache-2.0
"""Stopping, starting again, and what a second process may do on the same data."""

import re
import signal
import socket
import threading
import time
from datetime import datetime

import httpx
import pytest
from harness import signatures
from harness.api import FAIL, SUCCESS, unique
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SLOWNESS, net, quickest, wait_for


def seconds(text):
    """An RFC 3339 time as seconds since the epoch; more than six digits of a second are cut."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")).timestamp()


@pytest.mark.smoke
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_retries_go_on_where_they_stopped(receiver, path, end):
    """Of a schedule of three delays two attempts are made before the end of the first process; the second process makes
    the third at the time that was promised, and the fourth, and no more."""
    with Server({"retry_schedule": "0.1,6,0.1", "retry_jitter": "0"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))
        secret = api.secret(app, endpoint)
        message = api.send(app, {"n": 1})
        api.wait_attempts(app, message, 2)
        promised = wait_for(lambda: api.destination(app, message, endpoint)["nextAttempt"], 5, "the next attempt")
        (server.stop if end == "stop" else server.kill)()
        assert len(receiver.requests(path)) == 2
        server.start()
        started = time.time()
        attempts = api.wait_final(app, message, endpoint)
        requests = receiver.requests(path)
        assert len(requests) == 4 == len(attempts)
        third = requests[2]
        assert -0.1 <= third.wall - seconds(promised)
        assert third.wall - max(seconds(promised), started) <= 5 * SLOWNESS
        assert {request.body for request in requests} == {b'{"n": 1}'}
        assert all(signatures.verifies(secret, request) for request in requests)
        assert api.destination(app, message, endpoint)["status"] == FAIL


@pytest.mark.smoke
def test_what_fell_due_meanwhile_is_sent_at_once(receiver, path):
    with Server({"retry_schedule": "0.3", "retry_jitter": "0"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        api.wait_attempts(app, message)
        promised = api.destination(app, message, endpoint)["nextAttempt"]
        server.kill()
        if promised is not None:
            wait_for(lambda: time.time() > seconds(promised), 5, "the retry to fall due")
        server.start()
        assert [a["status"] for a in api.wait_final(app, message, endpoint)] == [FAIL, SUCCESS]


@pytest.mark.smoke
def test_an_attempt_in_flight_at_a_kill_does_not_count(receiver, path):
    """It was not recorded, so it is made again: the receiver sees it twice, the log knows one."""
    gate = threading.Event()
    with Server({"retry_schedule": ""}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(200, hold=gate), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        receiver.wait(path)
        server.kill()
        gate.set()
        server.start()
        assert [a["status"] for a in api.wait_final(app, message, endpoint)] == [SUCCESS]
        first, second = receiver.requests(path)
        assert first.message_id == second.message_id and first.body == second.body


@pytest.mark.smoke
def test_sigterm_lets_attempts_in_flight_end(receiver, path):
    gate = threading.Event()
    with Server() as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(200, hold=gate))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        receiver.wait(path)
        server.terminate()

        def refuses():
            try:
                return api.get("/health/ping").status_code == 503
            except httpx.TransportError:
                return True

        wait_for(refuses, 10, "the server to stop accepting")
        assert server.is_running(), "an attempt is in flight"
        gate.set()
        assert server.wait() == 0
        server.start()
        assert [a["status"] for a in api.wait_final(app, message, endpoint)] == [SUCCESS]
        assert len(receiver.requests(path)) == 1, "it was recorded, so it is not made again"


@pytest.mark.smoke
def test_sigterm_does_not_wait_for_ever(receiver, path):
    with Server({"delivery_timeout": "1"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(200, drip=0.05))
        api.new_endpoint(app, receiver.url(path))
        api.send(app)
        receiver.wait(path)
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 30 * SLOWNESS


@pytest.mark.smoke
def test_sigterm_with_idle_and_half_open_clients(receiver):

    def stop():
        with Server() as server:
            api = server.api()
            host, port = server.url.split("://")[1].split(":")
            clients = [socket.create_connection((host, int(port))) for _ in range(20)]
            for number, client in enumerate(clients):
                if number % 2:
                    client.sendall(b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
            assert api.get("/health/ping").status_code == 204
            start = time.monotonic()
            server.stop()
            took = time.monotonic() - start
            for client in clients:
                client.close()
        return took

    assert quickest(stop, 8) < 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_end_it(number):
    with Server() as server:
        server.process.send_signal(number)
        assert server.wait() == 0


def test_sighup_does_not_end_it():
    with Server() as server:
        api = server.api()
        pid = server.pid
        server.process.send_signal(signal.SIGHUP)
        for _ in range(20):
            assert api.get("/health/ping").status_code == 204
        assert server.is_running() and server.pid == pid


@pytest.mark.smoke
def test_a_second_server_on_the_same_data_is_refused():
    with Server() as first:
        second = Server(data=first.data)
        with pytest.raises(AssertionError, match="exit code 1"):
            second.start()
        assert str(first.data) in second.log(), second.log()
        assert not any(line.startswith("ready") for line in second.stdout)
        second.close()
        assert first.api().get("/app").status_code == 200
        # A kill leaves no lock behind.
        first.kill()
        first.start()


@pytest.mark.smoke
def test_everything_is_there_again(receiver, path):
    with Server() as server:
        api = server.api()
        app = api.new_app(uid=unique("kept"), metadata={"k": "v"})
        kind = api.new_event_type(schemas={"1": {"type": "object"}})["name"]
        endpoint = api.new_endpoint(app, receiver.url(path), eventTypes=[kind], channels=["c"], throttleRate=100)
        root = f"/app/{app['id']}"
        api.ok("PUT", f"{root}/endpoint/{endpoint['id']}/headers", {"headers": {"X-Kept": "1"}}, 204)
        old = api.secret(app, endpoint)
        assert api.post(f"{root}/endpoint/{endpoint['id']}/secret/rotate", {}).status_code in (200, 204)
        message = api.send(app, {"a": 1.10}, event_type=kind, channels=["c"], eventId=unique("event"))
        api.wait_final(app, message, endpoint)
        paths = [
            root,
            f"/event-type/{kind}",
            f"{root}/endpoint",
            f"{root}/endpoint/{endpoint['id']}/secret",
            f"{root}/endpoint/{endpoint['id']}/headers",
            f"{root}/msg",
            f"{root}/msg/{message['eventId']}",
            f"{root}/attempt/msg/{message['id']}",
            f"{root}/endpoint/{endpoint['id']}/msg",
            f"{root}/msg/{message['id']}/endpoint",
        ]
        before = {name: api.get(name).content for name in paths}
        server.restart()
        assert {name: api.get(name).content for name in paths} == before
        later = api.send(app, event_type=kind, channels=["c"])
        assert later["id"] > message["id"]
        request = receiver.wait_message(later["id"], path)[0]
        assert request.header("x-kept") == "1"
        assert signatures.verifies(old, request) and signatures.verifies(api.secret(app, endpoint), request)


def test_a_stop_under_load_loses_nothing(receiver, path):
    """Four clients send while SIGTERM comes: whoever got 202 has their message delivered, before or after."""
    with Server() as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        acknowledged, lock = [], threading.Lock()

        def load():
            client = server.api()
            while True:
                try:
                    response = client.post(f"/app/{app['id']}/msg", {"eventType": "a", "payload": {}})
                except httpx.TransportError:
                    return
                if response.status_code == 503:
                    return
                assert response.status_code == 202
                with lock:
                    acknowledged.append(response.json()["id"])

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) >= 200, 30, "200 messages")
        server.stop()
        for thread in threads:
            thread.join(net(30))
        assert len(set(acknowledged)) == len(acknowledged) >= 200
        server.start()
        came = lambda: {request.message_id for request in receiver.requests(path)}  # noqa: E731
        wait_for(lambda: set(acknowledged) <= came(), 30, "every acknowledged message to come")
        last = api.send(app)
        api.wait_final(app, last, endpoint)
