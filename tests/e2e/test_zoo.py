# SPDX-License-Identifier: Apache-2.0
"""A zoo of receivers: everything that a listener can do to who connects to it. Each attempt has an
outcome within its timeout, in words that name what happened; memory stays bounded; neighbours do
not notice."""

import re
import socket
import ssl
import statistics
import struct
import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional

import pytest
from harness import beast as b
from harness.api import FAIL, SUCCESS
from harness.beast import Beast, FullListener, Http2Talk
from harness.receiver import Receiver
from harness.server import Server
from harness.tls import Authority
from harness.wait import SANITIZED, SLOWNESS, wait_for

pytestmark = [
    pytest.mark.serial,  # all beasts eat at once and have 1.5 s for it
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning"),
]

TIMEOUT_S = 10 if SANITIZED else 5
TIMEOUT_MS = int(TIMEOUT_S * 1000)
SETTINGS = {
    "delivery_timeout": str(TIMEOUT_S),
    "retry_schedule": "",
    "breaker_min_attempts": "0",
    "endpoint_failure_disable_after": "0",
}
OK = b"HTTP/1.1 200 OK\r\n"
MIB = 1 << 20


@dataclass
class Kind:
    """What a beast does, and what the attempt must come out as."""

    behave: Optional[Callable]
    words: str  # a regular expression that the whole recorded response matches
    code: int = 0
    timed: Optional[bool] = False  # whether it ends by the timeout; None = either
    tls: Optional[str] = None  # which context; None = plain
    https: bool = False  # an https URL without a context: the bytes are the behaviour's
    status: int = FAIL
    requests: Optional[int] = 1  # how many whole heads the beast reads; None = it depends


def answering(*pieces, end=None):
    """Read the request, send the pieces, then do `end` (nothing = close)."""

    def behave(conn, beast):
        beast.read_request(conn)
        for piece in pieces:
            beast.send(conn, piece)
        if end is not None:
            end(conn, beast)

    return behave


def saying(*pieces, end=None):
    """The same without reading anything."""

    def behave(conn, beast):
        for piece in pieces:
            beast.send(conn, piece)
        if end is not None:
            end(conn, beast)

    return behave


def hang(conn, beast):
    beast.hang(conn)


def reset(conn, _):
    b.reset(conn)


def dripping(data, first=b""):
    return answering(first, end=lambda conn, beast: beast.drip(conn, data))


def endless(piece, first=b""):
    many = piece * (65536 // len(piece))

    def flood(conn, beast):
        while not beast.closing.is_set():
            beast.send(conn, many)

    return answering(first, end=flood)


def http2(respond=None, first=None, last=b.DATA):
    """Speak HTTP/2 up to the request's end, then `respond(talk, stream)`, then read on."""

    def behave(conn, beast):
        talk = Http2Talk(conn, beast)
        talk.start(first)
        stream = talk.request(last)
        if respond is not None:
            respond(talk, stream)
        beast.hang(conn)

    return behave


def sending(*frames):
    """HTTP/2 frames as functions of the stream."""
    return http2(lambda talk, stream: talk.send(b"".join(make(stream) for make in frames)))


def h2_head(*fields, end=False, status="200"):
    block = b.field(":status", status) + b"".join(b.field(*pair) for pair in fields)
    flags = b.END_HEADERS | (b.END_STREAM if end else 0)
    return lambda stream: b.frame(b.HEADERS, flags, stream, block)


def h2_data(data, end=False):
    return lambda stream: b.frame(b.DATA, b.END_STREAM if end else 0, stream, data)


def h2_reset(code):
    return lambda stream: b.frame(b.RST_STREAM, 0, stream, b.number(code))


def goaway(code, last=None):
    return lambda stream: b.frame(
        b.GOAWAY, payload=b.number(stream if last is None else last) + b.number(code)
    )


def h2_endless(make, first=lambda stream: b""):
    def respond(talk, stream):
        talk.send(first(stream))
        many = make(stream) * (65536 // len(make(stream)))
        while not talk.beast.closing.is_set():
            talk.send(many)

    return http2(respond)


def h2_bomb(talk, stream):
    """One large field goes into the table; each byte after it stands for all of it again."""
    name, value = b"x-bomb", b"b" * 3900
    literal = b"\x40" + bytes([len(name)]) + name + b"\x7f" + varint(len(value) - 127) + value
    block = b.field(":status", "200") + literal + b"\xbe" * 12000
    talk.send(b.frame(b.HEADERS, b.END_HEADERS | b.END_STREAM, stream, block[:16384]))


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def record(kind, payload, version=b"\x03\x03", length=None):
    size = len(payload) if length is None else length
    return bytes([kind]) + version + struct.pack(">H", size) + payload


# A ServerHello of SSL 3.0 with a suite of its time: 48 bytes of handshake.
SSL3_HELLO = record(
    22,
    b"\x02\x00\x00\x26" + b"\x03\x00" + b"r" * 32 + b"\x00" + b"\x00\x0a" + b"\x00",
    b"\x03\x00",
)


def after_hello(*pieces, end=None):
    """Take the ClientHello, then send records made by hand."""

    def behave(conn, beast):
        b.receive(conn)
        saying(*pieces, end=end)(conn, beast)

    return behave


def cut_below_tls(conn, beast):
    """Close the connection without the goodbye of TLS."""
    beast.read_request(conn)
    beast.send(conn, OK + b"\r\nhalf a bo")
    raw = socket.socket(fileno=conn.detach())
    raw.shutdown(socket.SHUT_RDWR)
    raw.close()


def garbage_below_tls(conn, beast):
    beast.read_request(conn)
    with socket.socket(fileno=conn.detach()) as raw:
        raw.sendall(b"x" * 500)
        raw.recv(65536)


def location(where):
    """An answer that points somewhere; "{self}" is the beast's own address."""

    def behave(conn, beast):
        beast.read_request(conn)
        target = where.replace("{self}", beast.url("/again"))
        beast.send(
            conn,
            f"HTTP/1.1 {beast.code} Moved\r\nLocation: {target}\r\n"
            "Content-Length: 2\r\n\r\ngo".encode(),
        )
        beast.hang(conn)

    return behave


CLOSED = "the connection was closed before an answer came"
IN_HEAD = "the connection broke within the answer's headers"
IN_BODY = "the connection broke while the answer was read"
NOT_HTTP = "the answer is not HTTP"
CONNECTING = f"timed out after {TIMEOUT_MS} ms while connecting"
READING = f"timed out after {TIMEOUT_MS} ms while reading the answer"
WAITING = f"timed out after {TIMEOUT_MS} ms while waiting for the answer"
SENDING = f"timed out after {TIMEOUT_MS} ms while sending the request"
SHAKING = f"timed out after {TIMEOUT_MS} ms while the TLS handshake was going on"
SHORT = "the answer is shorter than it said"
TLS = r"TLS failed: .+"
NO_CERTIFICATE = "the receiver asks for a client certificate"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
H2 = r"HTTP/2 error: .+"
BROKEN = H2 + "|" + CLOSED
ENDLESS = "the receiver sends without an end"
# Where in curl the end of a flooding connection is noticed decides which of these it is.
CUT_OFF = "|".join([ENDLESS, BROKEN, SHORT])

ZOO = {
    # ---- silence ----
    "hang before reading": Kind(lambda conn, beast: beast.closing.wait(), WAITING, timed=True,
                                requests=0),
    "hang before the head": Kind(answering(end=hang), WAITING, timed=True),
    "hang within the head": Kind(answering(OK + b"X-Lo", end=hang), READING, timed=True),
    "hang before the body": Kind(answering(OK + b"Content-Length: 5\r\n\r\n", end=hang),
                                 READING, 200, timed=True),
    "hang within a chunk": Kind(answering(CHUNKED + b"5\r\nab", end=hang), READING, 200,
                                timed=True),
    "hang in the TLS handshake": Kind(hang, SHAKING, timed=True, https=True, requests=0),
    "hang after half a ServerHello": Kind(after_hello(b"\x16\x03\x03\x00\x7a\x02\x00", end=hang),
                                          SHAKING, timed=True, https=True, requests=0),
    "hang after the TLS handshake": Kind(answering(end=hang), WAITING, timed=True, tls="good"),
    # ---- drips ----
    "drip of the status line": Kind(dripping(b"HTTP/1.1 200 OK" * 9), NOT_HTTP + "|" + READING
                                    + "|" + WAITING, timed=True),
    "drip of the head": Kind(dripping(b"y", OK + b"X-Long: "), READING, timed=True),
    "drip of header lines": Kind(dripping(b"A: b\r\n", OK), READING, timed=True),
    "drip of the body": Kind(dripping(b"z", OK + b"Content-Length: 999\r\n\r\n"), READING, 200,
                             timed=True),
    "drip of chunks": Kind(dripping(b"1\r\nz\r\n", CHUNKED), READING, 200, timed=True),
    "drip of a chunk's size": Kind(dripping(b"0", CHUNKED), IN_BODY + "|" + READING, 200,
                                   timed=None),
    "drip without a length": Kind(dripping(b"z", OK + b"\r\n"), READING, 200, timed=True),
    "drip of informational answers": Kind(dripping(b"HTTP/1.1 103 A\r\n\r\n"), READING,
                                          timed=True),
    "drip of a TLS record": Kind(after_hello(b"\x16\x03\x03\x40\x00",
                                             end=lambda c, beast: beast.drip(c, b"\0")),
                                 SHAKING, timed=True, https=True, requests=0),
    # ---- resets ----
    "reset at once": Kind(reset, CLOSED + "|connection reset by .+", requests=0),
    "reset before the head": Kind(answering(end=reset), CLOSED),
    "reset within the head": Kind(answering(OK + b"X-A", end=reset), IN_HEAD + "|" + CLOSED),
    "reset within the body": Kind(answering(OK + b"Content-Length: 9\r\n\r\nab", end=reset),
                                  IN_BODY + "|" + SHORT + "|" + IN_HEAD + "|" + CLOSED, None),
    "reset in the handshake": Kind(after_hello(end=reset), TLS, https=True, requests=0),
    "reset after the handshake": Kind(answering(end=reset), CLOSED, tls="good"),
    "close at once": Kind(lambda conn, beast: b.receive(conn), CLOSED, requests=0),
    "close in the handshake": Kind(after_hello(), TLS, https=True, requests=0),
    # ---- what is no HTTP ----
    "garbage": Kind(answering(b"\x00\xff\x80garbage\r\n\r\n" * 20), NOT_HTTP),
    "garbage unasked": Kind(saying(b"220 mail.example.com ESMTP\r\n", end=hang), NOT_HTTP,
                            requests=0),
    "HTTP/0.9": Kind(answering(b"<html>hello</html>\n"), NOT_HTTP),
    "HTTP/2 unasked": Kind(answering(b.settings()), NOT_HTTP),
    "another protocol's version": Kind(answering(b"RTSP/1.0 200 OK\r\n\r\n"), NOT_HTTP),
    "a version from the future": Kind(answering(b"HTTP/7.3 200 OK\r\n\r\n"), NOT_HTTP),
    "a status of two digits": Kind(answering(b"HTTP/1.1 20 OK\r\n\r\n"), NOT_HTTP),
    "a status of four digits": Kind(answering(b"HTTP/1.1 2000 OK\r\n\r\n"), NOT_HTTP),
    "a negative status": Kind(answering(b"HTTP/1.1 -200 OK\r\n\r\n"), NOT_HTTP),
    "a status of nothing": Kind(answering(b"HTTP/1.1 000 No\r\n\r\n"), NOT_HTTP),
    "a NUL in a header": Kind(answering(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), NOT_HTTP),
    "a switch of protocols": Kind(answering(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
                                  ".+", 101),
    # ---- too much ----
    "endless header lines": Kind(endless(b"X-More: " + b"y" * 90 + b"\r\n", OK),
                                 "the answer's headers exceed 65536 bytes"),
    "one endless header line": Kind(endless(b"y" * 4096, OK + b"X-Long: "),
                                    "a header line of the answer is too long"),
    "an endless status line": Kind(endless(b"O" * 4096, b"HTTP/1.1 200 "),
                                   "a header line of the answer is too long"),
    "an endless body": Kind(endless(b"x" * 65536, OK + b"\r\n"), "x{20000}", 200, status=SUCCESS),
    "an endless body of an error": Kind(endless(b"x" * 65536, b"HTTP/1.1 500 No\r\n\r\n"),
                                        "x{20000}", 500),
    "endless chunks": Kind(endless(b"1000\r\n" + b"x" * 4096 + b"\r\n", CHUNKED), "x{20000}", 200,
                           status=SUCCESS),
    "an endless chunk extension": Kind(endless(b"e" * 4096, CHUNKED + b"1;"), IN_BODY + "|"
                                       + READING, 200, timed=None),
    "endless trailers": Kind(endless(b"X-T: " + b"t" * 200 + b"\r\n", CHUNKED + b"0\r\n"),
                             "the answer's headers exceed 65536 bytes", 200),
    "endless informational answers": Kind(endless(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
                                          r"more than 100 informational \(1xx\) answers"),
    "fat informational answers": Kind(
        endless(b"HTTP/1.1 103 E\r\nLink: " + b"l" * 4000 + b"\r\n\r\n"),
        "the answer's headers exceed 65536 bytes"),
    "endless continues": Kind(endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
                              r"more than 100 informational \(1xx\) answers"),
    "a bomb of gzip": Kind(answering(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b" + b"\x00" * 18),
        r"(?s).*", 200, status=SUCCESS),
    # ---- lengths ----
    "a length that is too long": Kind(answering(OK + b"Content-Length: 10\r\n\r\nabc"), SHORT,
                                      200),
    "a length that is too short": Kind(answering(OK + b"Content-Length: 2\r\n\r\nokay!", end=hang),
                                       "ok", 200, status=SUCCESS),
    "a negative length": Kind(answering(OK + b"Content-Length: -5\r\n\r\nabc"), NOT_HTTP, None),
    "a length of words": Kind(answering(OK + b"Content-Length: many\r\n\r\nabc"), NOT_HTTP, None),
    "a length beyond all": Kind(answering(OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nabc"),
                                "abc", 200, status=SUCCESS),
    "a body where none is allowed": Kind(
        answering(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", end=hang), "", 204,
        status=SUCCESS),
    # ---- chunks ----
    "a chunk of no number": Kind(answering(CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"), IN_BODY, 200),
    "a chunk beyond all": Kind(answering(CHUNKED + b"f" * 17 + b"\r\nabc\r\n"), IN_BODY, 200),
    "a negative chunk": Kind(answering(CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n"), IN_BODY, 200),
    "a chunk without its end": Kind(answering(CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n"), IN_BODY,
                                    200),
    "chunks without the last": Kind(answering(CHUNKED + b"3\r\nabc\r\n"), IN_BODY + "|" + SHORT,
                                    200),
    "an unknown transfer encoding": Kind(
        answering(OK + b"Transfer-Encoding: cowsay\r\n\r\nmoo"), "moo", 200, status=SUCCESS),
    # ---- TLS ----
    "a certificate of the past": Kind(answering(OK), "certificate verify failed: .*expired",
                                      tls="expired", requests=0),
    "a certificate of the future": Kind(answering(OK), "certificate verify failed: .*not yet.*",
                                        tls="future", requests=0),
    "a certificate of another": Kind(answering(OK),
                                     "certificate verify failed: it is not for 127.0.0.1",
                                     tls="other", requests=0),
    "a certificate of its own": Kind(answering(OK), "certificate verify failed: self.signed.*",
                                     tls="self", requests=0),
    "TLS of yesterday": Kind(answering(OK), TLS, tls="old", requests=0),
    "only ciphers without names": Kind(answering(OK), TLS, tls="anonymous", requests=0),
    "a client certificate wanted": Kind(answering(OK), f"({CLOSED}; )?{NO_CERTIFICATE}|{IN_HEAD}",
                                        tls="mutual", requests=None),
    "SSL 3.0": Kind(after_hello(SSL3_HELLO, end=hang), TLS, https=True, requests=0),
    "a TLS alert": Kind(after_hello(record(21, b"\x02\x28"), end=hang), TLS, https=True,
                        requests=0),
    "a TLS record of garbage": Kind(after_hello(record(22, b"\xff" * 500), end=hang), TLS,
                                    https=True, requests=0),
    "a TLS record that is too long": Kind(after_hello(record(22, b"x" * 65535), end=hang), TLS,
                                          https=True, requests=0),
    "plain text on a TLS port": Kind(saying(OK + b"Content-Length: 0\r\n\r\n", end=hang), TLS,
                                     https=True, requests=0),
    "TLS on a plain port": Kind(answering(record(21, b"\x02\x28")), NOT_HTTP),
    "TLS without a goodbye": Kind(cut_below_tls, IN_BODY + "|half a bo", 200, tls="good",
                                  status=None),
    "garbage below TLS": Kind(garbage_below_tls, TLS + "|" + CLOSED, tls="good"),
    # ---- HTTP/2 ----
    "h2: hang at the preface": Kind(hang, WAITING + "|" + SENDING, timed=True, tls="h2",
                                    requests=None),
    "h2: hang at the answer": Kind(http2(), WAITING, timed=True, tls="h2"),
    "h2: hang at the body": Kind(sending(h2_head()), READING, 200, timed=True, tls="h2"),
    "h2: no window": Kind(http2(first=b.settings(window=0)), SENDING + "|" + WAITING, timed=True,
                          tls="h2"),
    "h2: no streams": Kind(http2(first=b.settings(max_streams=0)), ".*timed out.*", timed=True,
                           tls="h2", requests=None),
    "h2: refused": Kind(sending(h2_reset(7)), ".+", tls="h2", requests=None,
                        timed=None),
    "h2: cancelled": Kind(sending(h2_reset(8)), H2, tls="h2"),
    "h2: calm down": Kind(sending(h2_reset(11)), H2, tls="h2"),
    "h2: reset within the body": Kind(sending(h2_head(), h2_data(b"ab"), h2_reset(2)), H2, None,
                                      tls="h2"),
    "h2: GOAWAY for this one": Kind(sending(goaway(0, last=0)), H2, tls="h2", requests=None,
                                    timed=None),
    "h2: GOAWAY with an error": Kind(sending(goaway(2)), H2 + "|" + WAITING, tls="h2", timed=None),
    "h2: GOAWAY and then the answer": Kind(
        sending(goaway(0), h2_head(end=True)), "", 200, tls="h2", status=SUCCESS),
    "h2: not HTTP/2": Kind(answering(OK + b"Content-Length: 0\r\n\r\n"), BROKEN, tls="h2",
                           requests=None),
    "h2: a frame that is too long": Kind(
        http2(lambda talk, stream: talk.send(b.frame(b.DATA, 0, stream, b"x" * 99999))),
        BROKEN, tls="h2"),
    "h2: data before the head": Kind(sending(h2_data(b"ab", end=True)), BROKEN, tls="h2"),
    "h2: a head without a status": Kind(
        sending(lambda s: b.frame(b.HEADERS, 5, s, b.field("a", "b"))), H2, tls="h2"),
    "h2: an answer on another stream": Kind(
        sending(lambda s: h2_head(end=True)(s + 2)), BROKEN, tls="h2"),
    "h2: a length that is too long": Kind(
        sending(h2_head(("content-length", "9")), h2_data(b"ab", end=True)), H2, None, tls="h2"),
    "h2: a length that is too short": Kind(
        sending(h2_head(("content-length", "1")), h2_data(b"abc", end=True)), H2, None, tls="h2"),
    "h2: endless informational answers": Kind(
        h2_endless(h2_head(status="103")), r"more than 100 informational \(1xx\) answers",
        tls="h2"),
    "h2: endless continuations": Kind(
        h2_endless(lambda s: b.frame(b.CONTINUATION, 0, s, b.field("a", "b" * 100)),
                   lambda s: b.frame(b.HEADERS, 0, s, b.field(":status", "200"))),
        H2 + "|" + ENDLESS, tls="h2"),
    "h2: a bomb of headers": Kind(http2(h2_bomb), H2, tls="h2"),
    "h2: endless pings": Kind(h2_endless(lambda s: b.frame(b.PING, payload=b"p" * 8)),
                              CUT_OFF, tls="h2"),
    "h2: endless settings": Kind(h2_endless(lambda s: b.settings(window=65535)),
                                 CUT_OFF, tls="h2"),
    "h2: an endless body": Kind(
        http2(lambda talk, s: talk.send(h2_head()(s) + h2_data(b"x" * 16384)(s) * 6)),
        "x{20000}", 200, tls="h2", status=SUCCESS),
}
REDIRECTS = {
    f"{code} to {where}": Kind(location(where), "go", code)
    for code in (301, 302, 303, 307, 308)
    for where in ("{self}", "/again", "//127.0.0.1/", "file:///etc/passwd", "http://[", "")
}
ZOO.update(REDIRECTS)
FULL = {
    "hang at connect": "http",
    "hang at connect for TLS": "https",
}
for name in FULL:
    ZOO[name] = Kind(None, CONNECTING, timed=True, requests=0)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("zoo"))
    other = Authority(tmp_path_factory.mktemp("zoo-other"))
    made = {
        "good": authority.context("127.0.0.1"),
        "h2": authority.context("127.0.0.1", alpn=["h2"]),
        "expired": authority.context("127.0.0.1", days=(-30, -2)),
        "future": authority.context("127.0.0.1", days=(5, 30)),
        "other": authority.context("example.com"),
        "self": other.self_signed("127.0.0.1"),
        "old": authority.context("127.0.0.1"),
        "anonymous": authority.context("127.0.0.1"),
        "mutual": authority.context("127.0.0.1"),
        "ca": authority.ca_file,
    }
    made["old"].minimum_version = ssl.TLSVersion.TLSv1_1
    made["old"].maximum_version = ssl.TLSVersion.TLSv1_1
    made["anonymous"].maximum_version = ssl.TLSVersion.TLSv1_2
    made["anonymous"].set_ciphers("aNULL:@SECLEVEL=0")
    made["mutual"].verify_mode = ssl.CERT_REQUIRED
    made["mutual"].load_verify_locations(authority.ca_file)
    return made


@pytest.fixture(scope="module")
def keeper(contexts):
    with Server({**SETTINGS, "tls_ca_file": contexts["ca"]}) as running:
        yield running


@pytest.fixture(scope="module")
def zoo(contexts):
    """One of each, by name."""
    beasts = {}
    for name, kind in ZOO.items():
        if name in FULL:
            beasts[name] = FullListener(FULL[name])
            continue
        context = contexts[kind.tls] if kind.tls else None
        beasts[name] = Beast(kind.behave, context, "https" if kind.https else None)
        beasts[name].code = kind.code
    yield beasts
    for each in beasts.values():
        each.close()


def feed(api, zoo):
    """A message to an application with all beasts as its endpoints; gives the attempt of each."""
    app = api.new_app()
    names = {api.new_endpoint(app, each.url())["id"]: name for name, each in zoo.items()}
    message = api.send(app, {"for": "the zoo"})
    attempts = api.wait_attempts(app, message, len(names), 20, limit=250)
    assert len(attempts) == len(names)
    return {names[attempt["endpointId"]]: attempt for attempt in attempts}


@pytest.fixture(scope="module")
def meals(keeper, zoo):
    """Those that never stop are fed one by one: together they leave this process no time for the others."""
    api = keeper.api()
    endless = [name for name in zoo if "endless" in name]
    groups = [[name for name in zoo if name not in endless], *([name] for name in endless)]
    return {
        name: attempt for group in groups for name, attempt in feed(api, {name: zoo[name] for name in group}).items()
    }


@pytest.mark.parametrize("name", ZOO)
def test_each_has_its_outcome(meals, zoo, name):
    kind = ZOO[name]
    attempt = meals[name]
    said, took = attempt["response"], attempt["responseDurationMs"]
    assert kind.status is None or attempt["status"] == kind.status, attempt
    assert kind.code is None or attempt["responseStatusCode"] == kind.code, attempt
    assert re.fullmatch(kind.words, said), attempt
    assert took <= TIMEOUT_MS + 3000 * SLOWNESS, attempt
    if kind.timed is not None:
        assert (took >= TIMEOUT_MS) == kind.timed, attempt
    if kind.requests is not None:
        assert len(zoo[name].saw_head()) == kind.requests, "sent again, or not at all"


# ---- answers to questions that nobody asked ----

OKAY = OK + b"Content-Length: 4\r\n\r\nokay"
POISON = OK + b"Content-Length: 8\r\n\r\npoisoned"
FAILED = b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nreal"


def one_by_one(first, then=b""):
    """Answers `first` to the first request of all, the truth to the others."""

    def behave(conn, beast):
        while True:
            beast.is_idle = True
            beast.read_request(conn)
            beast.is_idle = False
            beast.send(conn, FAILED if len(beast.saw_head()) > 1 else first)
            if then and len(beast.saw_head()) == 1:
                beast.go_on.wait(20)
                beast.send(conn, then)

    return behave


@pytest.mark.parametrize("behave", [
    one_by_one(OKAY + POISON),
    one_by_one(OKAY, POISON),
    one_by_one(OK + b"Content-Length: 0\r\n\r\n" + POISON),
    one_by_one(b"HTTP/1.1 204 No\r\n\r\n" + POISON),
    one_by_one(CHUNKED + b"0\r\n\r\n" + POISON),
    one_by_one(OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nokay" + POISON),
    one_by_one(OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
               + POISON),
], ids=["same packet", "later", "empty", "204", "chunked", "two lengths", "both framings"])
@pytest.mark.parametrize("tls", [None, "good"], ids=["plain", "tls"])
def test_an_answer_too_many_is_no_answer_to_the_next(keeper, contexts, behave, tls):
    """What follows an answer on its connection never becomes the outcome of another delivery."""
    api = keeper.api()
    with Beast(behave, contexts[tls] if tls else None) as beast:
        app = api.new_app()
        endpoint = api.new_endpoint(app, beast.url(), maxInFlight=1)
        (first,) = api.wait_final(app, api.send(app), endpoint)
        beast.go_on.set()
        # Once the connection is in use again nobody could tell the difference.
        wait_for(lambda: beast.is_idle, 5, "the beast to have said it all")
        (second,) = api.wait_final(app, api.send(app), endpoint)
        assert first["status"] == SUCCESS and "poison" not in first["response"], first
        assert (second["responseStatusCode"], second["response"]) == (500, "real"), second
        assert len(beast.saw_head()) == 2


@pytest.mark.parametrize("tls", [None, "h2"])
def test_an_answer_before_the_request_was_read(keeper, contexts, tls):
    """It counts; what was not sent yet does no harm to the next delivery."""
    early = saying(OKAY, end=hang) if tls is None else http2(
        lambda talk, s: talk.send(h2_head()(s) + h2_data(b"okay", end=True)(s)), last=b.HEADERS)
    api = keeper.api()
    with Beast(early, contexts[tls] if tls else None) as beast:
        app = api.new_app()
        endpoint = api.new_endpoint(app, beast.url())
        pad = {"pad": "x" * 500000}
        for _ in range(2):
            (attempt,) = api.wait_final(app, api.send(app, pad), endpoint)
            assert attempt["response"] == "okay" or attempt["status"] == FAIL, attempt


def test_a_window_that_never_opens(keeper, contexts):
    """HTTP/2 lets a receiver stop the sender: the timeout goes on all the same."""
    api = keeper.api()
    with Beast(http2(), contexts["h2"]) as beast:
        app = api.new_app()
        endpoint = api.new_endpoint(app, beast.url())
        (attempt,) = api.wait_final(app, api.send(app, {"pad": "x" * 200000}), endpoint)
        assert re.fullmatch(SENDING, attempt["response"]), attempt
        assert TIMEOUT_MS <= attempt["responseDurationMs"] <= TIMEOUT_MS + 3000 * SLOWNESS


# ---- memory and neighbours ----


def latencies(api, app, receiver, go_on):
    """Seconds from the message to its arrival, one message after the other while go_on(count)."""
    taken = []
    while go_on(len(taken)):
        start = time.monotonic()
        message = api.send(app)
        taken.append(receiver.wait_message(message["id"], "/healthy")[0].at - start)
    return sorted(taken)


def test_the_zoo_disturbs_nobody_and_stays_small(keeper, zoo, meals):
    """Three messages to all of them at once. A neighbour's deliveries are as fast as before but for
    what the machine itself lacks; afterwards nothing is left."""
    api = keeper.api()
    with Receiver() as receiver:
        app = api.new_app()
        api.new_endpoint(app, receiver.url("/healthy"))
        quiet = latencies(api, app, receiver, lambda count: count < 50)
        before = keeper.rss_bytes()
        peak = [before]
        feeders = [threading.Thread(target=feed, args=(keeper.api(), zoo)) for _ in range(3)]
        for feeder in feeders:
            feeder.start()

        def is_feeding(count):
            peak.append(keeper.rss_bytes())
            return count < 20 or any(feeder.is_alive() for feeder in feeders)

        busy = latencies(api, app, receiver, is_feeding)
        for feeder in feeders:
            feeder.join()
    if SANITIZED:
        return
    # The zoo itself takes this process's time too: the factor is about the common case, the limit
    # about those that had to wait for somebody's timeout.
    assert statistics.median(busy) <= 10 * statistics.median(quiet) + 0.01, (quiet, busy)
    assert busy[len(busy) * 95 // 100] < 0.5 * TIMEOUT_S, busy[-5:]
    assert max(peak) - before < 48 * MIB, (before, max(peak))


@pytest.mark.parametrize("name", [name for name in ZOO if "endless" in name])
def test_a_flood_holds_nobody_up(keeper, zoo, name):
    """One thread sends all deliveries. Receivers that never stop sending must not keep it."""
    api = keeper.api()
    with Receiver() as receiver:
        app, bad = api.new_app(), api.new_app()
        api.new_endpoint(app, receiver.url("/healthy"))
        endpoint = api.new_endpoint(bad, zoo[name].url())
        messages = [api.send(bad) for _ in range(3)]
        worst = latencies(api, app, receiver, lambda count: count < 20)[-1]
        for message in messages:
            api.wait_final(bad, message, endpoint)
        assert worst < 0.6 * TIMEOUT_S, worst
