# SPDX-License-Identifier: Apache-2.0
"""Bad requests: each gets its exact answer, and the server goes on as if nothing had been."""

import contextlib
import json
import random
import socket

import pytest
from harness.api import is_error, is_invalid
from harness.server import Server
from harness.wait import net, wait_for

pytestmark = pytest.mark.smoke

MIB = 1 << 20


@pytest.fixture(autouse=True)
def the_server_stays_up(server, api):
    pid = server.pid
    yield
    assert server.is_running() and server.pid == pid
    assert api.get("/health/ping").status_code == 204


POSTS = ["/app", "/event-type", "/app/{app}/endpoint", "/app/{app}/msg"]

MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "word": b"nonsense",
    "cut": b'{"name": "x"',
    "cut in a string": b'{"name": "x',
    "two values": b'{"name": "x"} {"name": "y"}',
    "trailing comma": b'{"name": "x",}',
    "single quotes": b"{'name': 'x'}",
    "bad escape": b'{"name": "\\x"}',
    "half a surrogate": b'{"name": "\\ud800"}',
    "bad number": b'{"name": 01}',
    "NaN": b'{"name": NaN}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "a raw control character": b'{"name": "a\nb"}',
    "a raw NUL": b'{"name": "a\x00b"}',
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "deep list": b'{"name": ' + b"[" * 100000,
    "deep object": b'{"a":' * 100000,
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json(api, app, path, content):
    response = api.post(path.format(app=app["id"]), content=content)
    is_invalid(response, "body", kind="value_error.jsondecode")


@pytest.mark.parametrize(
    "payload",
    [b'{"a": "\xff"}',
     b'{"a": 01}', b'{"a": [1,]}', b'{"a": tru}', b'{"a": "\t"}', b'{"a" 1}', b"{]"],
)
def test_a_payload_is_checked_as_well(api, app, payload):
    """The payload is passed through as it is, so it must be JSON from its first byte to its last."""
    response = api.post(f"/app/{app['id']}/msg", content=b'{"eventType": "a", "payload": ' + payload + b"}")
    is_invalid(response, "body", kind="value_error.jsondecode")
    assert api.ok("GET", f"/app/{app['id']}/msg")["data"] == []


def test_a_deep_payload_does_no_harm(api, app):
    for depth in (100, 100000):
        payload = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
        response = api.post(f"/app/{app['id']}/msg", content=b'{"eventType": "a", "payload": ' + payload + b"}")
        assert response.status_code in (202, 422), response.text[:300]
        assert depth > 100 or response.status_code == 202


def test_repeated_keys_do_no_harm(api, app):
    content = b'{"eventType": "a", "payload": {"n": 1}, "payload": {"n": 2}}'
    assert api.post(f"/app/{app['id']}/msg", content=content).status_code in (202, 422)


@pytest.mark.parametrize("path", POSTS)
def test_an_oversized_body(api, app, path):
    url = path.format(app=app["id"])
    body = b'{"eventType": "a", "payload": {"x": "' + b"y" * (2 * MIB) + b'"}}'
    response = api.post(url, content=body)
    is_error(response, 413, "payload_too_large", "Request payload is too large.")


def test_an_oversized_chunked_body(api, app):
    def pieces():
        yield b'{"eventType": "a", "payload": {"x": "'
        for _ in range(40):
            yield b"y" * 65536
        yield b'"}}'

    response = api.post(f"/app/{app['id']}/msg", content=pieces())
    is_error(response, 413, "payload_too_large", "Request payload is too large.")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_just_below_the_limit(api, app, chunked):
    head, tail = b'{"eventType": "a", "payload": {"x": "', b'"}}'
    body = head + b"y" * (2 * MIB - len(head) - len(tail)) + tail
    content = iter([body[:MIB], body[MIB:]]) if chunked else body
    response = api.post(f"/app/{app['id']}/msg", content=content, params={"with_content": "false"})
    assert response.status_code == 202, response.text[:300]
    over = body.replace(b'"}}', b'z"}}')
    assert api.post(f"/app/{app['id']}/msg", content=over).status_code == 413


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/nonsense"),
        ("GET", "/app/{app}/nonsense"),
        ("POST", "/app/{app}/msg/x/y/z/w"),
        ("GET", "/api/v2/app"),
        ("GET", "/api/v1"),
        ("GET", "/api/nothing"),
    ],
)
def test_unknown_paths(api, app, method, path):
    is_error(api.request(method, path.format(app=app["id"])), 404, "not_found")


@pytest.mark.parametrize(
    "method, path", [("PUT", "/app"), ("POST", "/app/{app}"), ("DELETE", "/app/{app}/msg"), ("PATCH", "/health")]
)
def test_known_paths_with_another_method(api, app, method, path):
    response = api.request(method, path.format(app=app["id"]))
    assert response.status_code == 405
    assert set(response.json()) == {"code", "detail"}


@pytest.mark.parametrize("query", ["limit=x", "limit=", "order=up"])
def test_bad_queries(api, query):
    is_error(api.get(f"/app?{query}"), 400, "generic_error")


@pytest.mark.parametrize("query", ["with_content=maybe", "after=now", "before=2024-13-01T00:00:00Z"])
def test_bad_queries_of_messages(api, app, query):
    is_error(api.get(f"/app/{app['id']}/msg?{query}"), 400, "generic_error")


@pytest.mark.parametrize("name", ["%00", "a%00b", "%zz", "%", "%2", "%c0%af"])
def test_bad_escapes_in_a_path(server, api, name):
    head = b"GET /api/v1/app/%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (name.encode(), authorization(api))
    status, body = raw(server, head)
    assert status in (400, 404), (status, body)
    if "00" in name or name in ("%zz", "%", "%2"):
        assert status == 400
    assert set(json.loads(body)) == {"code", "detail"}


def test_an_escaped_slash_stays_in_its_segment(server, api, app):
    """Splitting comes before decoding: %2f and %2e%2e never lead anywhere else."""
    for path in (f"{app['id']}%2fmsg", f"x%2f..%2f{app['id']}", f"x/../{app['id']}", f"%2e%2e/app/{app['id']}"):
        request = b"GET /api/v1/app/%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path.encode(), authorization(api))
        status, body = raw(server, request)
        assert status == 404, (path, status, body)


def test_escapes_are_decoded(api, app):
    escaped = "".join(f"%{ord(letter):02x}" for letter in app["id"])
    assert api.ok("GET", f"/app/{escaped}")["id"] == app["id"]


# ---- raw bytes ----


def authorization(api):
    return b"Authorization: Bearer %s\r\n" % api.token.encode()


def raw(server, data, half_close=False):
    """Send bytes, give back (status, body) of the first answer; (0, b"") when the server just closes."""
    host, port = server.url.split("://")[1].split(":")
    # libmicrohttpd may miss the end of a stream that comes with its last bytes; the deadline of the
    # body, 30 s, ends the connection then.
    try:
        return first_answer((host, int(port)), data, half_close)
    except ConnectionError:
        return 0, b""  # it closed before it had read everything


def first_answer(address, data, half_close):
    with socket.create_connection(address, timeout=net(40)) as conn:
        conn.sendall(data)
        if half_close:
            with contextlib.suppress(OSError):  # the server may have closed it already
                conn.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = conn.recv(65536)
            if not piece:
                return 0, b""
            answer += piece
        head, body = answer.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            piece = conn.recv(65536)
            if not piece:
                break
            body += piece
        return int(head.split(b" ")[1]), body


BODY = b'{"name": "smuggled"}'
SMUGGLING = {
    "length and chunked": b"Content-Length: 20\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 20\r\nContent-Length: 5\r\n",
    "two equal lengths": b"Content-Length: 20\r\nContent-Length: 20\r\n",
    "length list": b"Content-Length: 20, 20\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "length with a sign": b"Content-Length: +20\r\n",
    "length in hex": b"Content-Length: 0x14\r\n",
    "length too big": b"Content-Length: 99999999999999999999999\r\n",
    "unknown coding": b"Transfer-Encoding: gzip\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "two hosts": b"Host: y\r\nContent-Length: 20\r\n",
    "a space before the colon": b"Content-Length : 20\r\n",
    "a name that is no token": b"X(Y): 1\r\nContent-Length: 20\r\n",
    "a control character": b"X-A: a\x01b\r\nContent-Length: 20\r\n",
}


@pytest.mark.parametrize("headers", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_ambiguous_framing_is_refused(server, api, org, headers):
    before = len(org.ok("GET", "/app")["data"])
    head = b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\n" + authorization(org) + headers
    status, _ = raw(server, head + b"\r\n" + BODY, half_close=True)
    assert status in (0, 400, 413), status
    assert len(org.ok("GET", "/app")["data"]) == before


def test_a_request_without_a_host(server, api):
    status, _ = raw(server, b"GET /api/v1/health/ping HTTP/1.1\r\n\r\n")
    assert status == 400


def test_pipelined_requests_are_answered_in_order(server, api):
    host, port = server.url.split("://")[1].split(":")
    one = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /api/v1/nonsense HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + authorization(api) + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=net(15)) as conn:
        conn.sendall(one * 3 + last)
        answer = b""
        while True:
            piece = conn.recv(65536)
            if not piece:
                break
            answer += piece
    assert answer.count(b"HTTP/1.1 200") == 3 and answer.count(b"HTTP/1.1 404") == 1
    assert answer.rindex(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 10000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"b" * 200000 + b"\r\n\r\n",
        b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
    ],
    ids=[
        "blank", "verb", "version", "tls", "h2", "long target", "many headers", "long header", "bad chunk", "short body"
    ],
)
def test_rubbish_does_no_harm(server, data):
    status, _ = raw(server, data, half_close=True)
    assert status == 0 or 300 <= status < 600


def test_random_bytes_do_no_harm(server):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    good = b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + BODY
    for _ in range(100):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        status, _ = raw(server, bytes(data), half_close=True)
        assert status < 500 or status in (501, 505), (seed, status, bytes(data))


def test_a_hundred_idle_connections_do_not_stop_others(server, api):
    host, port = server.url.split("://")[1].split(":")
    idle = []
    try:
        for number in range(100):
            conn = socket.create_connection((host, int(port)), timeout=net(15))
            if number % 2:
                conn.sendall(b"POST /api/v1/app HTTP/1.1\r\nHost: x\r\nContent-Le")
            idle.append(conn)
        for _ in range(10):
            assert api.get("/health/ping").status_code == 204
    finally:
        for conn in idle:
            conn.close()


def test_two_authorizations_are_one_too_many(server, app):
    """Which of the two a proxy in front believed is not known here."""
    token = server.org_token.encode()
    line = b"Authorization: Bearer " + token + b"\r\n"
    for lines, wanted in ((line, 200), (line + b"Authorization: Bearer x\r\n", 400), (line + line, 400)):
        data = b"GET /api/v1/app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n"
        assert raw(server, data)[0] == wanted


def test_answers_that_nobody_reads_do_not_fill_the_memory(receiver):
    with Server({"http.answer_bytes_max": "16MiB"}) as server:
        api = server.api()
        app = api.new_app()
        for _ in range(12):
            api.send(app, {"pad": "x" * 900000})
        host, port = server.url.split("://")[1].split(":")
        path = f"/api/v1/app/{app['id']}/msg?limit=50"
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.org_token}\r\n\r\n".encode())
            idle.recv(1000)
            refused = api.get(path)
            assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
            assert api.get(f"/app/{app['id']}").status_code == 200
        wait_for(lambda: api.get(path).status_code == 200, 5, "room for the answer")


def test_there_are_no_dead_letters(server, api, app):
    """What is due stays in the store until it ends, so nothing is ever left to be driven again."""
    assert api.post("/admin/redrive-dlq").status_code == 204
    assert server.api(server.app_token(app["id"])).post("/admin/redrive-dlq").status_code == 403
