# SPDX-License-Identifier: Apache-2.0
"""Clients that attack: bytes that two servers could understand in two ways, and crowds of clients
that are slow on purpose. tests/unit/test_http_strict.c has the longer table against the library;
here it is the real server, its real routes and what they would have done."""

import contextlib
import json
import selectors
import socket
import statistics
import threading
import time

import pytest
from harness.server import Server
from harness.wait import SANITIZED, net, wait_for

pytestmark = pytest.mark.smoke


def connect(server):
    host, port = server.url.split("://")[1].split(":")
    return socket.create_connection((host, int(port)), timeout=net(15))


def talk(server, data, half_close=False):
    """Send bytes and read to the end of the stream, which the server has to bring about."""
    with connect(server) as conn:
        answer = b""
        with contextlib.suppress(ConnectionError):
            conn.sendall(data)
            if half_close:
                conn.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := conn.recv(65536):
                answer += piece
        return answer


def statuses(answer):
    """The statuses of the answers in a stream, each cut off by its length."""
    found = []
    while answer:
        head, answer = answer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 "), answer
        found.append(int(lines[0].split(b" ")[1]))
        for line in lines[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length" and found[-1] not in (204, 304):
                answer = answer[int(value) :]
    return found


APP = b'{"name": "smuggled"}'
MAKE = b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nAUTH\r\n"
GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"
# The second request: it would make an application.
SMUGGLED = MAKE + b"Content-Length: %d\r\n\r\n%s" % (len(APP), APP)
CHUNKS = b"0\r\n\r\n"


def framed(*lines, body=APP):
    return MAKE + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body + SMUGGLED


# What must be answered with 400 once, and closed, whatever follows.
REFUSED = {
    # ---- where does the body end? ----
    "length and chunks": framed(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunks and length": framed(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=CHUNKS),
    "length 0 and chunks": framed(b"Content-Length: 0", b"Transfer-Encoding: chunked",
                                  body=CHUNKS),
    "two lengths": framed(b"Content-Length: 20", b"Content-Length: 0"),
    "two equal lengths": framed(b"Content-Length: 20", b"content-length: 20"),
    "a list of lengths": framed(b"Content-Length: 20, 20"),
    "a length with a plus": framed(b"Content-Length: +20"),
    "a length with a minus": framed(b"Content-Length: -20"),
    "a length in hex": framed(b"Content-Length: 0x14"),
    "a length in halves": framed(b"Content-Length: 2 0"),
    "a length with a point": framed(b"Content-Length: 20.0"),
    "a length in other digits": framed("Content-Length: ２０".encode()),
    "no length": framed(b"Content-Length:"),
    "a quoted length": framed(b'Content-Length: "20"'),
    "chunked after another": framed(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "chunked before another": framed(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    "chunked twice": framed(b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked in two lines": framed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked",
                                   body=CHUNKS),
    "identity": framed(b"Transfer-Encoding: identity"),
    "nearly chunked": framed(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "quoted chunked": framed(b'Transfer-Encoding: "chunked"', body=CHUNKS),
    "chunked with a parameter": framed(b"Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "chunked after a tab inside": framed(b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "no encoding": framed(b"Transfer-Encoding:", body=CHUNKS),
    "a space before the colon": framed(b"Transfer-Encoding : chunked", body=CHUNKS),
    "a tab before the colon": framed(b"Content-Length\t: 20"),
    "a space before the name": framed(b"X: 1", b" Content-Length: 20"),
    "a folded header": framed(b"X: 1", b" 2", b"Content-Length: 20"),
    "a folded encoding": framed(b"Transfer-Encoding:", b" chunked", body=CHUNKS),
    "chunks of HTTP/1.0": framed(b"Transfer-Encoding: chunked", body=CHUNKS).replace(
        b"HTTP/1.1", b"HTTP/1.0", 1),
    "a bad chunk size": framed(b"Transfer-Encoding: chunked", body=b"zz\r\n"),
    "a chunk size with a sign": framed(b"Transfer-Encoding: chunked",
                                       body=b"+14\r\n" + APP + b"\r\n0\r\n\r\n"),
    "a chunk size with 0x": framed(b"Transfer-Encoding: chunked",
                                   body=b"0x14\r\n" + APP + b"\r\n0\r\n\r\n"),
    "a chunk that is longer": framed(b"Transfer-Encoding: chunked",
                                     body=b"5\r\n" + APP + b"\r\n0\r\n\r\n"),
    # ---- lines ----
    "only line feeds": GET.replace(b"\r", b"") + b"\n" + SMUGGLED,
    "a line feed after the request": GET.replace(b"\r\n", b"\n", 1) + b"\r\n" + SMUGGLED,
    "a line feed after a header": GET + b"X: 1\nY: 2\r\n\r\n" + SMUGGLED,
    "a line feed at the end": GET + b"\n" + SMUGGLED,
    "a carriage return inside": GET + b"X: 1\rY: 2\r\n\r\n" + SMUGGLED,
    "a header without a colon": GET + b"X\r\n\r\n" + SMUGGLED,
    "a header without a name": GET + b": x\r\n\r\n" + SMUGGLED,
    "a NUL in a name": GET + b"X\0Y: 1\r\n\r\n" + SMUGGLED,
    "a NUL in a value": GET + b"X: a\0b\r\n\r\n" + SMUGGLED,
    "a NUL in the target": b"GET /api/v1/health\0/x HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "a NUL in the method": b"GET\0 /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an escape sequence": GET + b"X: \x1b[2J\r\n\r\n" + SMUGGLED,
    "a DEL": GET + b"X: \x7f\r\n\r\n" + SMUGGLED,
    "a name with brackets": GET + b"X(Y): 1\r\n\r\n" + SMUGGLED,
    "a name with a space": GET + b"X Y: 1\r\n\r\n" + SMUGGLED,
    "a name beyond ASCII": GET + "Ü: 1\r\n\r\n".encode() + SMUGGLED,
    "a method that is no token": GET.replace(b"GET", b"G@T") + b"\r\n" + SMUGGLED,
    "two spaces": GET.replace(b" /", b"  /", 1) + b"\r\n" + SMUGGLED,
    "no version": b"GET /api/v1/health\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an unknown version": GET.replace(b"HTTP/1.1", b"HTTP/1.9") + b"\r\n" + SMUGGLED,
    "a version in small letters": GET.replace(b"HTTP/1.1", b"http/1.1") + b"\r\n" + SMUGGLED,
    # ---- whom is it for? ----
    "no host": b"GET /api/v1/health HTTP/1.1\r\n\r\n" + SMUGGLED,
    "two hosts": GET + b"Host: y\r\n\r\n" + SMUGGLED,
    "two equal hosts": GET + b"host: x\r\n\r\n" + SMUGGLED,
    # ---- targets ----
    "a target without a slash": GET.replace(b" /", b" ") + b"\r\n" + SMUGGLED,
    "a fragment": GET.replace(b"health", b"health#x") + b"\r\n" + SMUGGLED,
    "an authority": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an asterisk": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "another scheme": b"GET ftp://x/api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an escaped NUL": GET.replace(b"health", b"health%00") + b"\r\n" + SMUGGLED,
    "an escaped NUL in the query": GET.replace(b"health", b"health?a=%00") + b"\r\n" + SMUGGLED,
    "half an escape": GET.replace(b"health", b"health%4") + b"\r\n" + SMUGGLED,
    "a percent sign": GET.replace(b"health", b"health%") + b"\r\n" + SMUGGLED,
    "an escape of no number": GET.replace(b"health", b"health%zz") + b"\r\n" + SMUGGLED,
    "an escape of IIS": GET.replace(b"health", b"health%u0041") + b"\r\n" + SMUGGLED,
    "an overlong escape": GET.replace(b"health", b"%c0%ae%c0%ae") + b"\r\n" + SMUGGLED,
}

# The library refuses these before anybody else sees them. Its words are HTML, and 0.9.75 sends the
# head of this answer twice; nothing of the rest is acted on.
BY_THE_LIBRARY = {
    "a list of lengths", "a length with a plus", "a length with a minus", "a length in hex",
    "a length in halves", "a length with a point", "a length in other digits", "no length",
    "a quoted length", "a length beyond all",
}  # fmt: skip

# Other outcomes that are exact: the statuses of all answers, then the end.
EXACT = {
    "a length beyond all": (framed(b"Content-Length: 99999999999999999999"), [413]),
    "a length above the limit": (framed(b"Content-Length: 99999999"), [413]),
    "a chunk beyond all": (framed(b"Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\nx"),
                           [413]),
    "HTTP/2 in the clear": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, [505]),
    "a long target": (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [414]),
    "a long header": (GET + b"X: " + b"b" * 70000 + b"\r\n\r\n", [431]),
    "many headers": (GET + b"X-A: b\r\n" * 10000 + b"\r\n", [431]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []),
    "an absolute target": (
        b"GET http://elsewhere/api/v1/health/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        [204]),
    "an upgrade": (
        GET + b"Connection: Upgrade, close\r\nUpgrade: h2c, websocket\r\n\r\n", [200]),
    "HTTP/1.0": (b"GET /api/v1/health/ping HTTP/1.0\r\n\r\n", [204]),
    "an unknown expectation": (
        framed(b"Expect: tea", b"Content-Length: 20", b"Connection: close", body=b"x" * 20)
        .replace(SMUGGLED, b""), [422]),
    "a body that ends early": (
        framed(b"Content-Length: 99").replace(SMUGGLED, b""), []),
    "chunks that end early": (
        framed(b"Transfer-Encoding: chunked", body=b"14\r\n{").replace(SMUGGLED, b""), []),
    "a head that ends early": (MAKE + b"Content-Le", []),
    "an escaped slash": (
        GET.replace(b"health", b"app%2f..%2fhealth") + b"AUTH\r\nConnection: close\r\n\r\n", [404]),
    "dots": (GET.replace(b"health", b"app/../health") + b"AUTH\r\nConnection: close\r\n\r\n",
             [404]),
    "escaped dots": (
        GET.replace(b"health", b"%2e%2e/v1/health") + b"AUTH\r\nConnection: close\r\n\r\n", [404]),
    "a method in small letters": (
        GET.replace(b"GET", b"get") + b"Connection: close\r\n\r\n", [405]),
    # A body that nobody wants is read, not taken for the next request.
    "a body of a GET": (
        GET + b"Content-Length: %d\r\n\r\n%s\r\n" % (len(GET) + 2, GET)
        + GET + b"Connection: close\r\n\r\n", [200, 200]),
    "a refusal amid a pipeline": (
        GET + b"\r\n" + GET + b"\r\n" + GET + b"Host: y\r\n\r\n" + SMUGGLED, [200, 200, 400]),
    "a close amid a pipeline": (GET + b"Connection: close\r\n\r\n" + SMUGGLED, [200]),
}


@pytest.fixture(scope="module")
def attacked(server):
    """A client of an organisation in which nothing may ever be."""
    return server.api(server.jwt("org_" + "h" * 27))


@pytest.fixture(autouse=True)
def nothing_was_made(request):
    yield
    if "attacked" in request.fixturenames:
        attacked = request.getfixturevalue("attacked")
        assert attacked.ok("GET", "/app")["data"] == []


def authorized(data, attacked):
    return data.replace(b"AUTH", b"Authorization: Bearer " + attacked.token.encode())


def answers(name, answer):
    if name in BY_THE_LIBRARY:
        assert answer.count(b"</html>") == 1 and answer.endswith(b"</html>"), answer
        heads = {part.split(b"\r\n")[0] for part in answer.split(b"HTTP/1.1 ")[1:]}
        return [int(head.split(b" ")[0]) for head in heads]
    return statuses(answer)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_once_and_closed(server, attacked, name):
    data = REFUSED[name]
    answer = talk(server, authorized(data, attacked))
    assert answers(name, answer) == [400], answer[:500]


@pytest.mark.parametrize("name", EXACT)
def test_it_has_its_exact_outcome(server, attacked, name):
    data, expected = EXACT[name]
    answer = talk(server, authorized(data, attacked), half_close=expected == [])
    assert answers(name, answer) == expected, answer[:500]


def test_the_refusals_are_ours(server, attacked):
    """The words are JSON in the form of all errors, and say what was wrong."""
    answer = talk(server, authorized(REFUSED["length and chunks"], attacked))
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"application/json" in head and b"close" in head.lower()
    assert json.loads(body)["detail"] == "Content-Length together with Transfer-Encoding"


def test_continue_comes_only_for_what_will_be_read(server, attacked):
    """With Expect the body waits: 100 and then the outcome, or the refusal at once."""
    head = authorized(MAKE, attacked) + b"Expect: 100-continue\r\n"
    with connect(server) as conn:
        conn.sendall(head + b"Content-Length: 2\r\n\r\n")
        assert conn.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        conn.sendall(b"{}")
        assert conn.recv(65536).startswith(b"HTTP/1.1 422 ")
    answer = talk(server, head + b"Content-Length: 99999999\r\n\r\n")
    assert statuses(answer) == [413]


@pytest.mark.parametrize("cut", [1, 30, 80, 200, 300])
def test_a_client_that_leaves_early(server, attacked, cut):
    """Nothing is done for half a request, and the connection is not kept until its deadline."""
    data = authorized(SMUGGLED, attacked)[:-1][:cut]
    start = time.monotonic()
    for _ in range(3):
        assert talk(server, data, half_close=True) == b""
    assert time.monotonic() - start < 3 * 8, "the deadline is at 10 s"


# ---- slow clients ----

HEADS, BODIES, READERS = 200, 200, 100
# Longer than it takes to make them all and to send a hundred messages meanwhile.
DEADLINE_S = 20 if SANITIZED else 8
SLOW = {
    "http.header_timeout": str(DEADLINE_S),
    "http.body_timeout": str(DEADLINE_S),
    "http.idle_timeout": "2",
}


class Crowd(threading.Thread):
    """Slow clients on one thread: those that send give a byte every half second, those that read
    take nothing. Says for how long each was let."""

    def __init__(self, server, heads, bodies, readers):
        super().__init__(daemon=True)
        host, port = server.url.split("://")[1].split(":")
        self._address = (host, int(port))
        self._selector = selectors.DefaultSelector()
        self.senders = {}
        self.readers = {}
        self.lasted = {"head": [], "body": [], "reader": []}
        self.ending = threading.Event()
        for kind, start, count in (("head", heads, HEADS), ("body", bodies, BODIES)):
            for _ in range(count):
                self.senders[self._open(start)] = (kind, time.monotonic())
        for _ in range(READERS):
            self.readers[self._open(readers, small=True)] = time.monotonic()

    def _open(self, start, small=False):
        conn = socket.socket()
        if small:
            # A small window and small segments, so that the answer does not fit into the kernel.
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        conn.settimeout(net(10))
        conn.connect(self._address)
        conn.sendall(start)
        conn.setblocking(False)
        if not small:
            self._selector.register(conn, selectors.EVENT_READ)
        return conn

    @property
    def is_over(self):
        return not self.senders

    def run(self):
        following = time.monotonic() + 0.5
        while not self.ending.is_set() and self.senders:
            for key, _ in self._selector.select(timeout=0.1):
                self._look(key.fileobj)
            if time.monotonic() >= following:
                following = time.monotonic() + 0.5
                for conn in list(self.senders):
                    with contextlib.suppress(OSError):
                        conn.send(b"x")

    def _look(self, conn):
        with contextlib.suppress(ConnectionError, BlockingIOError):
            data = conn.recv(4096)
            assert data == b"", f"a slow client was answered: {data!r}"
        self._selector.unregister(conn)
        kind, since = self.senders.pop(conn)
        self.lasted[kind].append(time.monotonic() - since)
        conn.close()

    def finish(self):
        """How much each reader can still get: the server gave up on those that took nothing."""
        self.ending.set()
        self.join(net(10))
        got = []
        for conn in self.readers:
            conn.settimeout(net(10))
            total = 0
            with contextlib.suppress(ConnectionError):
                while piece := conn.recv(65536):
                    total += len(piece)
            got.append(total)
        return got

    def close(self):
        self.ending.set()
        self.join(net(10))
        for conn in [*self.senders, *self.readers]:
            conn.close()
        self._selector.close()


def ask(api, app, count):
    """Seconds that messages took to be accepted."""
    taken = []
    for _ in range(count):
        start = time.monotonic()
        api.send(app)
        taken.append(time.monotonic() - start)
    return taken


@pytest.mark.serial
def test_five_hundred_slow_clients(request):
    """They cost other clients next to nothing and the server little, and are cut at their deadline.
    The answer that nobody reads is 600 kB long."""
    with Server({**SLOW, "retry_schedule": ""}) as server:
        api = server.api()
        app, large = api.new_app(), api.new_app()
        for _ in range(2):
            api.send(large, {"pad": "x" * 300000})
        auth = b"Host: x\r\nAuthorization: Bearer " + api.token.encode() + b"\r\n"
        path = f"/api/v1/app/{app['id']}/msg".encode()
        ask(api, app, 20)
        quiet = ask(api, app, 100)
        before = server.rss_bytes()
        crowd = Crowd(
            server,
            b"POST " + path + b" HTTP/1.1\r\n" + auth + b"X-Slow: ",
            b"POST " + path + b" HTTP/1.1\r\n" + auth + b"Content-Length: 1000\r\n\r\n{",
            f"GET /api/v1/app/{large['id']}/msg HTTP/1.1\r\n".encode() + auth + b"\r\n",
        )
        try:
            crowd.start()
            busy = ask(api, app, 100)
            there = len(crowd.senders)
            grown = server.rss_bytes() - before
            assert there == HEADS + BODIES, "all of them were there all the time"
            wait_for(lambda: crowd.is_over, 9, "the slow clients to be cut")
            for kind in ("head", "body"):
                lasted = sorted(crowd.lasted[kind])
                assert lasted[0] >= DEADLINE_S - 0.05, lasted[:5]
                assert lasted[-1] <= DEADLINE_S * 1.25 + 10, lasted[-5:]
            connections = lambda: metric(server, "posthorn_http_connections")  # noqa: E731
            wait_for(lambda: connections() <= 3, 10, lambda: f"an end; {connections()} are there")
            assert all(0 < got < 600000 for got in crowd.finish()), "an answer that was not cut"
        finally:
            crowd.close()
        assert api.ok("GET", f"/app/{app['id']}/msg?limit=250")["data"], "and all is well"
        if not SANITIZED:
            median = statistics.median
            assert median(busy) <= 3 * median(quiet) + 0.002, (median(quiet), median(busy))
            assert sorted(busy)[95] <= 0.1, sorted(busy)[-10:]
            assert grown < (READERS * 600000 * 1.5 + (16 << 20)), grown


def metric(server, name):
    with connect(server) as conn:
        conn.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b""
        while piece := conn.recv(65536):
            text += piece
    (line,) = [line for line in text.decode().splitlines() if line.startswith(name + " ")]
    return float(line.split(" ")[1])
