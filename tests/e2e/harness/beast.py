# SPDX-License-Identifier: Apache-2.0
"""Receivers that are no receivers: a listener whose connections are served by one function on a
raw socket, and the HTTP/2 frames that such functions write by hand."""

import contextlib
import socket
import ssl
import struct
import threading

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9,
)
END_STREAM, ACK, END_HEADERS = 1, 1, 4


class Beast:
    """Each connection is a thread that runs `behave(conn, beast)` and closes the socket after it;
    errors of the socket end it early. With a context the handshake comes first."""

    def __init__(self, behave, context=None, scheme=None, host="127.0.0.1"):
        self._behave = behave
        self._context = context
        self._sockets = set()
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self.go_on = threading.Event()  # for behaviours that wait for the test
        self.is_idle = True
        self.connections = 0
        self.heads = []  # of the requests that were read
        self.sent_bytes = 0
        self.scheme = scheme or ("https" if context else "http")
        self.host = host
        self._listener = socket.create_server((host, 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/"):
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def _accept(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._sockets.add(conn)
                if self.closing.is_set():
                    conn.close()
                    return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, raw):
        conn = raw
        try:
            if self._context is not None:
                conn = self._context.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._sockets.add(conn)
            self._behave(conn, self)
        except (OSError, ValueError):
            pass  # the other side left, or this one is closing
        finally:
            with self._lock:
                self._sockets -= {raw, conn}
            conn.close()

    def close(self):
        with self._lock:
            self.closing.set()
            sockets = list(self._sockets)
        for each in [self._listener, *sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what behaviours are made of ----

    def read_request(self, conn):
        """One whole HTTP/1 request; gives what came after its head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += receive(conn)
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += receive(conn)
        with self._lock:
            self.heads.append(head)
        return body

    def send(self, conn, data):
        conn.sendall(data)
        with self._lock:
            self.sent_bytes += len(data)

    def drip(self, conn, data, pause=0.05):
        """`data` over and over, one byte at a time."""
        while not self.closing.is_set():
            for byte in data:
                self.send(conn, bytes([byte]))
                self.closing.wait(pause)

    def hang(self, conn):
        """Read and say nothing until the other side leaves."""
        while conn.recv(65536):
            pass

    def saw_head(self):
        with self._lock:
            return list(self.heads)


def receive(conn):
    data = conn.recv(65536)
    if not data:
        raise ConnectionError("the other side closed")
    return data


def reset(conn):
    """Close with a TCP reset, below TLS when there is some."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(conn, ssl.SSLSocket):
        socket.socket(fileno=conn.detach()).close()
    else:
        conn.close()


class FullListener:
    """A listener whose queue is full, so that the kernel lets connects wait without an answer."""

    def __init__(self, scheme="http"):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self.scheme = scheme
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
        self.connections = 0
        self.heads = []
        self.sent_bytes = 0

    def url(self, path="/"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def saw_head(self):
        return []

    def close(self):
        for each in [*self._fillers, self._listener]:
            each.close()


# ---- HTTP/2 by hand ----


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    """max_streams, window, frame_size"""
    numbers = {"max_streams": 3, "window": 4, "frame_size": 5}
    pairs = b"".join(struct.pack(">HI", numbers[key], value) for key, value in values.items())
    return frame(SETTINGS, payload=pairs)


def field(name, value):
    """A header field in HPACK, literal, never indexed, without Huffman coding."""
    return b"\x10" + _text(name) + _text(value)


def _text(text):
    data = text if isinstance(text, bytes) else text.encode()
    assert len(data) < 127
    return bytes([len(data)]) + data


def number(code):
    return struct.pack(">I", code)


class Http2Talk:
    """Reads frames of a client. `start` reads its preface, `request` up to the end of a stream."""

    def __init__(self, conn, beast):
        self.conn = conn
        self.beast = beast
        self._data = b""

    def _take(self, count):
        while len(self._data) < count:
            self._data += receive(self.conn)
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def start(self, first=None):
        assert self._take(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self.send(settings() if first is None else first)

    def send(self, data):
        self.beast.send(self.conn, data)

    def next_frame(self):
        head = self._take(9)
        size = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, self._take(size)

    def request(self, last=DATA):
        """Wait for a request's end (or only its head: last=HEADERS); gives its stream."""
        while True:
            kind, flags, stream, _ = self.next_frame()
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            if kind == HEADERS:
                self.beast.heads.append(b"HTTP/2")
            if stream and (flags & END_STREAM or kind == last):
                if kind in (DATA, HEADERS):
                    return stream
