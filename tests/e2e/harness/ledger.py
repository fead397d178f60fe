# SPDX-License-Identifier: Apache-2.0
"""The ledger of acknowledged messages, the load that writes it, and what it is held against."""

import base64
import json
import os
import queue
import random
import socket
import threading
from dataclasses import dataclass
from typing import Optional

from . import signatures
from .api import SUCCESS, unique
from .receiver import Reply
from .wait import happens_within, net

SEED = int(os.environ.get("POSTHORN_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
CLIENTS = 8
PAGE = 250
IN_FLIGHT = 16

# Enough attempts to live through every failure that the receiver plays, over all kills.
SETTINGS = {
    "retry_schedule": ",".join(["0.05"] * 4 + ["0.2"] * 28),
    "max_in_flight": str(IN_FLIGHT),
}

_NEVER_SET = threading.Event()


@dataclass
class Post:
    """One message as a client sent it: a line of the ledger when `status` is 2xx, in doubt when it
    is None."""

    number: int
    app: int
    key: Optional[str]
    payload: bytes
    status: Optional[int] = None
    id: Optional[str] = None  # None although acknowledged: the answer broke off behind its head


class Client:
    """Posts on one kept connection, on a raw socket: the load must cost less than what it loads."""

    def __init__(self, server):
        host, port = server.url.split("://")[1].split(":")
        self._socket = socket.create_connection((host, int(port)), net(10))
        self._socket.settimeout(net(30))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: {host}\r\nAuthorization: Bearer {server.org_token}\r\n".encode()

    def close(self):
        self._socket.close()

    def send(self, app, post):
        """Fill in the answer. OSError: the connection broke; what is not filled in is in doubt."""
        body = b'{"eventType": "ledger.line", "payload": %s}' % post.payload
        key = f"Idempotency-Key: {post.key}\r\n".encode() if post.key else b""
        self._socket.sendall(
            b"POST /api/v1/app/%s/msg HTTP/1.1\r\n%s%sContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (app["id"].encode(), self._head, key, len(body), body)
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        post.status = int(head.split(b" ", 2)[1])
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(rest) < int(lines[b"content-length"]):
            rest += self._receive()
        if post.status == 202:
            post.id = json.loads(rest)["id"]

    def _receive(self):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server is gone")
        return data


class Load:
    """One round's clients. They share a budget of messages and end when it is used up or the server
    is gone."""

    def __init__(self, ledger, seed, budget):
        self.posts = []
        self.wrong = []
        self._ledger = ledger
        self._budget = iter(range(budget))
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{seed}/{n}",)) for n in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def acknowledged(self):
        return sum(post.status == 202 for post in self.posts)

    def is_over(self):
        return not any(thread.is_alive() for thread in self._threads)

    def join(self):
        for thread in self._threads:
            thread.join(net(60))
        assert self.is_over() and not self.wrong, self.wrong

    def _run(self, seed):
        rng = random.Random(seed)
        client = None
        try:
            client = Client(self._ledger.server)
            while True:
                with self._lock:
                    if next(self._budget, None) is None:
                        return
                    post = self._ledger.new_post(rng)
                    self.posts.append(post)
                client.send(self._ledger.apps[post.app], post)
                if post.status != 202:
                    self.wrong.append(f"message {post.number} was answered {post.status}")
                    return
        except OSError:
            pass
        finally:
            if client is not None:
                client.close()


class Ledger:
    """All posts of all rounds, and what they are held against."""

    def __init__(self, server, receiver, rng, noise_bytes=(0, 30, 600, 600, 600, 6000)):
        self.server, self.receiver = server, receiver
        self.noise_bytes = noise_bytes
        self.posts = []
        self.replies = {}  # path → what the receiver answers, request by request
        self.keys = {}  # path → what verifies its signatures
        self.owner = {}  # path → index of its application
        api = server.api()
        self.apps = [api.new_app(), api.new_app()]
        self.endpoints = {}
        self._endpoint(api, 0, "steady", [Reply(204)])
        self._endpoint(api, 0, "failing-at-first", self._failures(rng))
        self._endpoint(api, 1, "other-tenant", [Reply(200, body=b"thanks")])
        self._endpoint(api, 1, "ed25519", [Reply(200)], secret=signatures.new_asymmetric()[0])

    @staticmethod
    def _failures(rng):
        """Nothing but errors at first, then more and more successes, then nothing else."""
        bad = [Reply(500), Reply(404), Reply(close=True), Reply(reset=True), Reply(500, delay=0.05)]
        good = Reply(200)
        return (
            [Reply(500)] * 200
            + [rng.choice(bad) if rng.random() < 0.3 else good for _ in range(2000)]
            + [good]
        )

    def _endpoint(self, api, app, name, replies, **fields):
        path = "/" + unique(name)
        self.receiver.script(path, *replies)
        endpoint = api.new_endpoint(self.apps[app], self.receiver.url(path), **fields)
        self.replies[path], self.owner[path], self.endpoints[path] = replies, app, endpoint
        self.keys[path] = api.secret(self.apps[app], endpoint)

    def new_post(self, rng):
        """Call with the lock of the load."""
        number = len(self.posts)
        key = rng.choice(
            [None, f"key-{SEED}-{number}", f"auto_{rng.randrange(1 << 64):016x}-{number}"]
        )
        noise = base64.b64encode(rng.randbytes(rng.choice(self.noise_bytes))).decode()
        # Unusual spacing, an escape, and numbers that a JSON library would write in another way.
        payload = (
            f'{{"n" : {number}, "exact":[1.10,1e2 , 12345678901234567890], '
            f'"é":"\\u00e9","noise": "{noise}" }}'
        )
        post = Post(number, rng.randrange(2), key, payload.encode())
        self.posts.append(post)
        return post

    def acknowledged(self):
        return [post for post in self.posts if post.status == 202]

    def post_again(self, posts):
        """A repetition of an idempotency key gives the id of the first time, or settles what was in
        doubt."""
        client = Client(self.server)
        for post in posts:
            again = Post(post.number, post.app, post.key, post.payload)
            client.send(self.apps[post.app], again)
            assert again.status == 202, (post, again)
            assert post.id in (None, again.id), (
                f"{post.key} gave {post.id}, and {again.id} after a kill"
            )
            post.status, post.id = 202, again.id
        client.close()

    def find_ids(self, api):
        """The ids of messages whose acknowledgement broke off behind its head, from the list."""
        for post in self.acknowledged():
            if post.id is None:
                rows = self.list(api, f"/app/{self.apps[post.app]['id']}/msg")
                post.id = next(
                    (row["id"] for row in rows if row["payload"]["n"] == post.number), None
                )
                assert post.id is not None, f"{post} is not listed"

    # ---- what the receiver saw ----

    def requests(self, path):
        """(request, whether it was answered 2xx) in the order in which they came."""
        replies = self.replies[path]
        return [
            (request, is_success(replies[min(position, len(replies) - 1)]))
            for position, request in enumerate(self.receiver.requests(path))
        ]

    def successes(self, path):
        """Message id → how often the receiver took it with a 2xx."""
        counts = {}
        for request, is_taken in self.requests(path):
            if is_taken:
                counts[request.message_id] = counts.get(request.message_id, 0) + 1
        return counts

    def missing(self):
        """(path, id) of all that was acknowledged and not yet taken by an endpoint."""
        return [
            (path, post.id)
            for path, app in self.owner.items()
            for taken in [self.successes(path)]
            for post in self.acknowledged()
            if post.app == app and post.id not in taken
        ]

    # ---- what the API says ----

    def list(self, api, path):
        rows, query = [], {"limit": PAGE}
        while True:
            page = api.ok("GET", path, params=query)
            rows += page["data"]
            if page["done"]:
                return rows
            query["iterator"] = page["iterator"]

    def unsettled(self, api):
        """What the endpoints' lists do not, or not yet, show as a success that is final."""
        rows = []
        for path, app in self.owner.items():
            url = f"/app/{self.apps[app]['id']}/endpoint/{self.endpoints[path]['id']}/msg"
            listed = self.list(api, url)
            known = {row["id"] for row in listed}
            rows += [
                row
                for row in listed
                if row["status"] != SUCCESS or row.get("nextAttempt") is not None
            ]
            rows += [
                post for post in self.acknowledged() if post.app == app and post.id not in known
            ]
        return rows


def is_success(reply):
    return not (reply.close or reply.reset or reply.hang) and 200 <= reply.status < 300


def kill_in_the_middle(rng, server, load, budget):
    """Wait for a random number of acknowledged messages and a random moment more, then kill -9."""
    count = rng.randint(0, budget)
    # On a slow machine any moment is a good moment.
    happens_within(lambda: load.acknowledged() >= count or load.is_over(), 0.6, step=0.001)
    _NEVER_SET.wait(rng.uniform(0, 0.15))
    server.kill()


def kill_while_starting(rng, server):
    """Kill a process within its first moments, ready or not."""
    ready = server.spawn()
    try:
        ready.get(timeout=rng.uniform(0, 0.03))
    except queue.Empty:
        pass
    server.kill()


def check_deliveries(ledger, calm, kills):
    """Every request that ever came is one of ours, exact and signed. Returns the number of
    duplicates: what was in flight, or taken and not yet recorded, at a kill."""
    sent = {(post.app, post.payload) for post in ledger.posts}
    payload_of = {post.id: post.payload for post in ledger.acknowledged()}
    ids = {}
    duplicates = 0
    for path, app in ledger.owner.items():
        for request, _ in ledger.requests(path):
            assert (app, request.body) in sent, f"nobody sent this to {path}: {request}"
            assert payload_of.get(request.message_id, request.body) == request.body, request
            assert ids.setdefault((app, request.body), request.message_id) == request.message_id, (
                request
            )
            assert signatures.verifies(ledger.keys[path], request), request
        if len(ledger.replies[path]) > 1:
            assert any(not is_taken for _, is_taken in ledger.requests(path)), (
                "the receiver never failed"
            )
        counts = ledger.successes(path)
        twice = {message: count for message, count in counts.items() if count > 1}
        assert not calm & twice.keys(), f"delivered twice without a kill: {calm & twice.keys()}"
        extra = sum(twice.values()) - len(twice)
        assert extra <= 2 * IN_FLIGHT * kills, f"{path}: {extra} duplicates after {kills} kills"
        duplicates += extra
    return duplicates


def check_lists(ledger, api):
    """The list of messages holds each acknowledged one once, and besides them only some that were
    in doubt."""
    for app, row in enumerate(ledger.apps):
        listed = ledger.list(api, f"/app/{row['id']}/msg")
        by_id = {message["id"]: message["payload"] for message in listed}
        numbers = [payload["n"] for payload in by_id.values()]
        assert len(by_id) == len(listed) and len(set(numbers)) == len(numbers), (
            "a message is listed twice"
        )
        mine = {post.number: post for post in ledger.posts if post.app == app}
        for payload in by_id.values():
            assert payload == json.loads(mine[payload["n"]].payload)
        for post in mine.values():
            if post.status == 202:
                assert by_id[post.id]["n"] == post.number, post
