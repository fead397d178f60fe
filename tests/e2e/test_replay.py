# SPDX-License-Identifier: Apache-2.0
"""Replays under way: their rate, the endpoint's own limits, cancel, kill -9 in the middle, many messages amid normal
traffic, and how many tasks there may be."""

import collections
import http.client
import json
import socketserver
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from harness.api import SUCCESS, is_error
from harness.prometheus import parse
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SANITIZED, SLOWNESS, net, wait_for
from svix.api import BulkReplayIn, ReplayIn, Svix, SvixOptions


def hour_ago():
    return datetime.now(timezone.utc) - timedelta(hours=1)


def sdk(server):
    return Svix(server.org_token, SvixOptions(server_url=server.url, timeout=net(30)))


def publish(server, app, count, threads=4):
    """So many messages, as fast as a few connections take them."""
    url = server.url.split("://", 1)[1]
    headers = {"Authorization": f"Bearer {server.org_token}"}
    numbers = iter(range(count))
    lock = threading.Lock()
    failures = []

    def work():
        connection = http.client.HTTPConnection(url, timeout=net(60))
        while True:
            with lock:
                number = next(numbers, None)
            if number is None or failures:
                return
            body = json.dumps({"eventType": "test.event", "payload": {"n": number}})
            connection.request("POST", f"/api/v1/app/{app['id']}/msg", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                failures.append(answer.status)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def task_of(api, task):
    """`task` as an operation gave it, or as the SDK did."""
    return api.ok("GET", f"/background-task/{task['id'] if isinstance(task, dict) else task.id}")


def wait_end(api, task, timeout=30.0):
    last = []

    def ended():
        last[:] = [task_of(api, task)]
        return last[0]["status"] != "running"

    wait_for(ended, timeout, lambda: f"the end of {last}")
    return last[0]


def most_in_a_second(requests):
    """How many came within one second, at most."""
    times = sorted(request.at for request in requests)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] > 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def is_kept(measure, least_s, most_s, most):
    """Whether the requests that measure() gives come over so many seconds, and never more than `most` of them in one.
    A busy machine notes them late, and by that closer together, but not every time."""
    seen = []
    for _ in range(5):
        requests = measure()
        took = max(r.at for r in requests) - min(r.at for r in requests)
        seen.append((took, most_in_a_second(requests)))
        if least_s <= took <= most_s * SLOWNESS and seen[-1][1] <= most:
            return True
    raise AssertionError(f"seconds, most in one second: {seen}")


def test_a_replay_heeds_its_rate(server, api, receiver, path):
    def measure():
        app = api.new_app()
        publish(server, app, 90)
        endpoint = api.new_endpoint(app, receiver.url(f"{path}/{app['id']}"))
        body = {"since": hour_ago().isoformat(), "rate": 30}
        task = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/replay-missing", body, 202)
        done = wait_end(api, task)
        assert (done["data"]["rate"], done["data"]["messagesSent"]) == (30, 90)
        return receiver.wait(f"{path}/{app['id']}", 90)

    # 30 each second, from the first one on.
    assert is_kept(measure, 2.5, 8, 45)


def test_a_replay_heeds_its_rate_after_a_restart(receiver, path):
    with Server() as server:
        api = server.api()

        def measure():
            app = api.new_app()
            publish(server, app, 150)
            endpoint = api.new_endpoint(app, receiver.url(f"{path}/{app['id']}"))
            body = {"since": hour_ago().isoformat(), "rate": 30}
            task = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/replay-missing", body, 202)
            receiver.wait(f"{path}/{app['id']}", 20)
            server.stop()
            before = len(receiver.requests(f"{path}/{app['id']}"))
            server.start()
            assert wait_end(api, task)["data"]["messagesSent"] == 150
            return receiver.wait(f"{path}/{app['id']}", 150)[before:]

        assert is_kept(measure, 2.0, 8, 45)


@pytest.mark.parametrize("kind", ["recover", "bulk-replay"])
def test_a_replay_heeds_the_endpoints_throttle(server, api, receiver, path, kind):
    def measure():
        app = api.new_app()
        hook = f"{path}/{app['id']}"
        endpoint = api.new_endpoint(app, receiver.url(hook))
        receiver.script(hook, Reply(404))
        publish(server, app, 60)
        receiver.wait(hook, 180)
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}"
        wait_for(lambda: api.ok("GET", url + "/stats")["fail"] == 180, what="all recorded")
        receiver.script(hook, Reply(200))
        receiver.clear()
        api.ok("PATCH", url, {"throttleRate": 20})
        api.ok("POST", f"{url}/{kind}", {"since": hour_ago().isoformat()}, 202)
        return receiver.wait(hook, 60, timeout=20)

    assert is_kept(measure, 1.5, 10, 50)


def test_a_cancelled_replay_stops(server, api, app, receiver, path):
    publish(server, app, 200)
    endpoint = api.new_endpoint(app, receiver.url(path))
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/replay-missing"
    task = api.ok("POST", url, {"since": hour_ago().isoformat(), "rate": 10}, 202)
    receiver.wait(path, 12)
    running = task_of(api, task)
    assert (running["status"], running["data"]["messagesTotal"], running["data"]["rate"]) == ("running", 200, 10)
    cancelled = api.ok("POST", f"/background-task/{task['id']}/cancel", {})
    assert cancelled["status"] == "failed" and cancelled["data"]["cancelled"] is True
    sent = cancelled["data"]["messagesSent"]
    assert 12 <= sent < 100
    assert task_of(api, task) == cancelled
    again = api.ok("POST", f"/background-task/{task['id']}/cancel", {})
    assert again == cancelled, "a second cancel changes nothing"
    # What had been handed over comes, and nothing else: a later task of the endpoint finds all the rest.
    receiver.wait(path, sent)
    rest = api.ok("POST", url, {"since": hour_ago().isoformat()}, 202)
    done = wait_end(api, rest)
    assert done["data"]["messagesSent"] == 200 - sent
    counts = collections.Counter(r.message_id for r in receiver.wait(path, 200))
    assert len(counts) == 200 and set(counts.values()) == {1}


def test_a_replay_goes_on_after_kill_9(receiver, path):
    count, kills = 600, 3
    with Server() as server:
        api = server.api()
        app = api.new_app()
        publish(server, app, count)
        endpoint = api.new_endpoint(app, receiver.url(path))
        # So slow that it is not over before the last kill.
        body = {"since": hour_ago().isoformat(), "rate": 100}
        task = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/replay-missing", body, 202)
        for kill in range(kills):
            receiver.wait(path, (kill + 1) * count // (kills + 2), timeout=30)
            assert task_of(api, task)["status"] == "running"
            server.kill()
            server.start()
        done = wait_end(api, task)
        data = done["data"]
        assert (done["status"], data["messagesSent"], data["messagesTotal"]) == ("finished", count, count)
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}/stats"
        wait_for(lambda: api.ok("GET", url)["success"] >= count, what="all recorded")
        # The store knows of one attempt each; the receiver may have seen again what was under way at a kill.
        assert api.ok("GET", url) == {"success": count, "pending": 0, "sending": 0, "fail": 0, "canceled": 0}
        counts = collections.Counter(r.message_id for r in receiver.requests(path))
        assert len(counts) == count
        assert sum(counts.values()) - count <= kills * 64, "more came twice than can have been under way"


def test_a_recover_goes_on_after_kill_9(receiver, path):
    count = 300
    with Server({"retry_schedule": ""}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}"
        receiver.script(path, Reply(404))
        publish(server, app, count)
        wait_for(lambda: api.ok("GET", url + "/stats")["fail"] == count, what="all failed")
        receiver.script(path, Reply(200, delay=0.02))
        receiver.clear()
        task = api.ok("POST", url + "/recover", {"since": hour_ago().isoformat(), "rate": 100}, 202)
        receiver.wait(path, count // 4)
        assert task_of(api, task)["status"] == "running"
        server.kill()
        server.start()
        assert wait_end(api, task)["data"]["messagesSent"] == count
        wait_for(lambda: api.ok("GET", url + "/stats")["success"] == count, what="all recorded")
        counts = collections.Counter(r.message_id for r in receiver.requests(path))
        assert len(counts) == count and sum(counts.values()) - count <= 64


def test_unfinished_tasks_are_limited(server, api, app, receiver, path):
    """One slow task keeps its endpoint; the others wait until there are too many."""
    send = {"since": hour_ago().isoformat(), "rate": 1}
    publish(server, app, 40)
    endpoint = api.new_endpoint(app, receiver.url(path))
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/replay-missing"
    before = parse(metrics(server))
    tasks = [api.ok("POST", url, send, 202) for _ in range(32)]
    body = is_error(api.post(url, send), 400, "limit_reached")
    assert "32" in body["detail"]
    # Another application has its own.
    other = api.new_app()
    other_endpoint = api.new_endpoint(other, receiver.url(path))
    api.ok("POST", f"/app/{other['id']}/endpoint/{other_endpoint['id']}/replay-missing", send, 202)
    receiver.wait(path, 1)
    waiting = task_of(api, tasks[-1])
    assert waiting["status"] == "running" and waiting["data"]["queued"] is True
    for task in tasks:
        api.ok("POST", f"/background-task/{task['id']}/cancel", {})
    assert api.ok("POST", url, send, 202)
    now = parse(metrics(server))
    moved = {
        name: now.value(f"posthorn_tasks_{name}_total") - before.value(f"posthorn_tasks_{name}_total")
        for name in ("added", "refused", "cancelled")
    }
    assert moved == {"added": 34, "refused": 1, "cancelled": 32}


def metrics(server):
    connection = http.client.HTTPConnection(server.url.split("://", 1)[1], timeout=net(30))
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


class Tally(socketserver.ThreadingTCPServer):
    """A receiver that only notes when each message came to each path: for many of them."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 512

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.came = collections.defaultdict(list)  # (path, message id) → times
        self.change = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def first(self, path, message_id, timeout):
        with self.change:
            assert self.change.wait_for(lambda: (path, message_id) in self.came, net(timeout)), message_id
            return self.came[path, message_id][0]

    def counts(self, path):
        with self.change:
            return [len(times) for (where, _), times in self.came.items() if where == path]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                path, length, message_id = line.split()[1].decode(), 0, None
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, value = line.split(b":", 1)
                    if name.lower() == b"content-length":
                        length = int(value)
                    elif name.lower() == b"webhook-id":
                        message_id = value.strip().decode()
                self.rfile.read(length)
                with self.server.change:
                    self.server.came[path, message_id].append(time.monotonic())
                    self.server.change.notify_all()
                self.wfile.write(b"HTTP/1.1 204 OK\r\n\r\n")


@pytest.mark.serial
def test_many_messages_are_replayed_amid_normal_traffic():
    """What is published during a replay of 20 000 messages, to the same endpoint and to another, arrives soon, and
    everything arrives once."""
    count = 2000 if SANITIZED else 20000
    with Server() as server, Tally() as tally:
        api = server.api()
        app, neighbour = api.new_app(), api.new_app()
        publish(server, app, count)
        endpoint = api.new_endpoint(app, tally.url("/many"))
        api.new_endpoint(neighbour, tally.url("/other"))
        began = time.monotonic()
        task = sdk(server).endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=hour_ago()))
        delays = {"/many": [], "/other": []}
        while task_of(api, task)["status"] == "running":
            for path, target in (("/many", app), ("/other", neighbour)):
                sent_at = time.monotonic()
                message = api.send(target)
                delays[path].append(tally.first(path, message["id"], 30) - sent_at)
        took = time.monotonic() - began
        done = task_of(api, task)
        assert (done["status"], done["data"]["messagesSent"]) == ("finished", count)
        wait_for(lambda: len(tally.counts("/many")) == count + len(delays["/many"]), 30, "all of them")
        assert set(tally.counts("/many")) == set(tally.counts("/other")) == {1}
        print(f"\n{count} messages in {took:.1f} s")
        for path, seen in delays.items():
            assert len(seen) >= 2, "the replay was over at once"
            seen.sort()
            print(f"{path}: {len(seen)} fresh messages, median {seen[len(seen) // 2]:.3f} s, last {seen[-1]:.3f} s")
            assert seen[len(seen) // 2] <= 2.0 * SLOWNESS, seen


def test_a_replayed_success_that_fails_is_tried_on(server, api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    receiver.wait(path, 1)
    api.wait_final(app, message, endpoint)
    receiver.script(path, Reply(500), Reply(200))
    task = sdk(server).endpoint.bulk_replay(app["id"], endpoint["id"], BulkReplayIn(since=hour_ago()))
    assert wait_end(api, task)["data"]["messagesSent"] == 1
    receiver.wait(path, 3)
    wait_for(lambda: api.destination(app, message, endpoint)["status"] == SUCCESS, what="its success")
    assert len(api.attempts(app, message)) == 3
