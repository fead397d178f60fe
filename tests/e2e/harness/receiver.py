# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver on a loopback port, written on raw sockets so that it sees and sends exact bytes.

Each path has a script: a list of Reply objects, used one per request; the last one repeats. Without a script a path
answers 204. Every request is recorded before its answer is sent. One thread per connection; the lock guards all
that is recorded.
"""

import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Optional

from .wait import net, wait_for


@dataclass
class Reply:
    """What the receiver does with one request. Fields combine: first the delay, then the hold, then the answer."""

    status: int = 200
    headers: list = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0
    hold: Optional[threading.Event] = None  # answer only when it is set
    hang: bool = False  # never answer
    close: bool = False  # close without an answer
    reset: bool = False  # close with a TCP reset
    raw: Optional[bytes] = None  # exactly these bytes, then close
    informational: int = 0  # so many "103" answers before the real one
    endless_headers: bool = False
    huge: int = 0  # a body of so many bytes, written in 64-KiB pieces
    drip: float = 0.0  # a body of one byte every so many seconds, without an end
    last: bool = False  # answer with "Connection: close" and close


@dataclass
class Request:
    """One request as it came. Header names keep their case and order."""

    method: str
    target: str
    version: str
    headers: list
    body: bytes
    connection: int
    number: int
    at: float  # time.monotonic() when the body was complete
    wall: float  # time.time() at the same moment
    answered_at: Optional[float] = None
    sent_bytes: int = 0
    peer_closed: bool = False

    @property
    def path(self):
        return self.target.split("?", 1)[0]

    def header(self, name):
        """The value of a header that occurs exactly once, or None when it does not occur."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def header_map(self):
        """The headers as a dict for the official verifiers."""
        return {key.lower(): value for key, value in self.headers}

    @property
    def message_id(self):
        return self.header("webhook-id") or self.header("svix-id")


class Receiver:
    """Owns a listening socket, its accept thread and a thread for each connection; close() ends them all."""

    def __init__(self, tls_context=None, host="127.0.0.1"):
        self._scripts = {}
        self._counts = {}
        self._requests = []
        self._lock = threading.Condition()
        self._closing = threading.Event()
        self._tls = tls_context
        self._in_flight = {}
        self._max_in_flight = {}
        self._sockets = set()
        self.connections = 0
        self.handshake_errors = []
        self._listener = socket.create_server((host, 0), backlog=512)
        self.host = host
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="receiver", daemon=True)
        self._thread.start()

    # ---- what tests use ----

    @property
    def base(self):
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def url(self, path="/hook"):
        return self.base + path

    def script(self, path, *replies):
        """Set the script of a path and forget how far the old one had come."""
        with self._lock:
            self._scripts[path] = list(replies)
            self._counts[path] = 0

    def requests(self, path=None):
        with self._lock:
            return [r for r in self._requests if path is None or r.path == path]

    def wait(self, path=None, count=1, timeout=10.0):
        """The recorded requests of a path, as soon as there are at least `count`."""
        deadline = time.monotonic() + net(timeout)
        with self._lock:
            while True:
                found = [r for r in self._requests if path is None or r.path == path]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [f"{r.method} {r.target}" for r in self._requests][-20:]
                    words = f"{len(found)} of {count} requests came in {net(timeout):.0f} s"
                    raise AssertionError(f"{path}: {words}; seen: {seen}")
                self._lock.wait(left)

    def wait_message(self, message_id, path=None, count=1, timeout=10.0):
        """The requests that carry a message, as soon as there are at least `count`."""

        def found():
            hits = [r for r in self.requests(path) if r.message_id == message_id]
            return hits if len(hits) >= count else None

        return wait_for(found, timeout, f"{count} deliveries of {message_id} to {path or 'any path'}")

    def in_flight(self, path):
        with self._lock:
            return self._in_flight.get(path, 0)

    def max_in_flight(self, path):
        with self._lock:
            return self._max_in_flight.get(path, 0)

    def clear(self):
        with self._lock:
            self._requests.clear()

    def close(self):
        self._closing.set()
        # A thread that blocks in accept keeps the socket alive past close(); shutdown wakes it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for conn in sockets:
            _shutdown(conn)
        self._thread.join(net(5))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- connections ----

    def _accept(self):
        while not self._closing.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._sockets.add(conn)
                self._lock.notify_all()
            threading.Thread(target=self._serve, args=(conn, number), daemon=True).start()

    def _serve(self, raw, number):
        conn, reader = raw, None
        try:
            if self._tls is not None:
                conn = self._tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._sockets.discard(raw)
                    self._sockets.add(conn)
            reader = conn.makefile("rb")
            while not self._closing.is_set() and self._serve_one(conn, reader, number):
                pass
        except ssl.SSLError as error:
            with self._lock:
                self.handshake_errors.append(str(error))
                self._lock.notify_all()
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._sockets.discard(raw)
                self._sockets.discard(conn)
            # The descriptor is closed only when the reader on top of it is closed as well.
            if reader is not None:
                reader.close()
            conn.close()

    def _serve_one(self, conn, reader, number):
        request = _read_request(reader, number)
        if request is None:
            return False
        with self._lock:
            request.number = len(self._requests)
            script = self._scripts.get(request.path)
            position = self._counts.get(request.path, 0)
            self._counts[request.path] = position + 1
            now = self._in_flight.get(request.path, 0) + 1
            self._in_flight[request.path] = now
            self._max_in_flight[request.path] = max(now, self._max_in_flight.get(request.path, 0))
            self._requests.append(request)
            self._lock.notify_all()
        reply = script[min(position, len(script) - 1)] if script else Reply(204)
        # A request stops being in flight just before its answer's first byte leaves: the sender may start the next one
        # as soon as it has read the answer, and that must not count as overlap.
        left = threading.Event()

        def leave():
            if not left.is_set():
                left.set()
                with self._lock:
                    self._in_flight[request.path] -= 1
                    request.answered_at = time.monotonic()
                    self._lock.notify_all()

        try:
            return self._answer(conn, request, reply, leave)
        finally:
            leave()

    def _answer(self, conn, request, reply, leave):
        if reply.delay:
            self._closing.wait(reply.delay)
        if reply.hold is not None:
            wait_for(lambda: reply.hold.is_set() or self._closing.is_set(), 120, "the receiver's hold to end")
        if reply.hang:
            # The sender's end of the connection (or the receiver's) is the only way out.
            return self._until_peer_closes(conn, request)
        if reply.close:
            return False
        if reply.reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        send = self._sender(conn, request)
        if reply.raw is not None:
            leave()
            send(reply.raw)
            return False
        send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * reply.informational)
        if reply.endless_headers:
            return self._endless_headers(send)
        head = [f"HTTP/1.1 {reply.status} Scripted"]
        head += [f"{name}: {value}" for name, value in reply.headers]
        if reply.last:
            head.append("Connection: close")
        if reply.drip:
            leave()
            send(("\r\n".join(head) + "\r\nContent-Length: 1000000\r\n\r\n").encode("latin-1"))
            while not self._closing.wait(reply.drip):
                send(b".")
            return False
        length = reply.huge or len(reply.body)
        if reply.status >= 200 and reply.status not in (204, 304):
            head.append(f"Content-Length: {length}")
        leave()
        text = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if reply.huge:
            send(text)
            piece = b"x" * 65536
            for _ in range(0, reply.huge, len(piece)):
                send(piece)
            return False
        send(text + (b"" if reply.status in (204, 304) else reply.body))
        return not reply.last

    def _endless_headers(self, send):
        send(b"HTTP/1.1 200 Endless\r\n")
        number = 0
        while not self._closing.is_set():
            number += 1
            send(b"X-More-%d: %s\r\n" % (number, b"y" * 1000))
        return False

    def _sender(self, conn, request):
        def send(data):
            try:
                conn.sendall(data)
            except OSError:
                request.peer_closed = True
                raise
            request.sent_bytes += len(data)

        return send

    def _until_peer_closes(self, conn, request):
        conn.settimeout(0.05)
        while not self._closing.is_set():
            try:
                if conn.recv(65536) == b"":
                    request.peer_closed = True
                    return False
            except (TimeoutError, ssl.SSLWantReadError):
                continue
        return False


def _shutdown(conn):
    try:
        conn.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _read_request(reader, number):
    """Read one request, or None at the end of the connection. Malformed requests fail loudly."""
    line = reader.readline(65536)
    if line in (b"", b"\r\n"):
        return None
    method, target, version = line.decode("latin-1").rstrip("\r\n").split(" ")
    headers = []
    while True:
        line = reader.readline(65536)
        if line == b"":
            return None
        if line == b"\r\n":
            break
        name, value = line.decode("latin-1").rstrip("\r\n").split(":", 1)
        headers.append((name, value.strip(" \t")))
    lower = {name.lower(): value for name, value in headers}
    if lower.get("transfer-encoding", "").lower() == "chunked":
        body = _read_chunks(reader)
    else:
        length = int(lower.get("content-length", "0"))
        body = reader.read(length)
        if len(body) < length:
            return None
    return Request(method, target, version, headers, body, number, 0, time.monotonic(), time.time())


def _read_chunks(reader):
    body = b""
    while True:
        size = int(reader.readline(1024).split(b";")[0], 16)
        body += reader.read(size)
        reader.readline(1024)
        if size == 0:
            return body


class SilentListener:
    """A listener that only counts connections: it proves that nothing was connected to."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        self._socket = socket.create_server((host, 0), family=family, backlog=16)
        self.port = self._socket.getsockname()[1]

    def connections(self):
        """Accept what is waiting in the backlog and say how many there were."""
        self._socket.setblocking(False)
        count = 0
        while True:
            try:
                conn, _ = self._socket.accept()
            except BlockingIOError:
                return count
            conn.close()
            count += 1

    def close(self):
        self._socket.close()


__all__ = ["Receiver", "Reply", "Request", "SilentListener"]
