# SPDX-License-Identifier: Apache-2.0
"""A proxy that knows CONNECT. Whatever it is asked for it notes, and connects to one port of this machine, which
stands for the world."""

import base64
import contextlib
import socket
import threading


class Proxy:
    def __init__(self, world_port, credentials=None, answer=None):
        """`credentials`: the "user:password" that is wanted; `answer`: bytes for CONNECT in place of a tunnel."""
        self._world_port = world_port
        self._wanted = None
        if credentials is not None:
            self._wanted = b"Basic " + base64.b64encode(credentials.encode())
        self.answer = answer
        self._lock = threading.Lock()
        self._targets = []
        self._sockets = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, credentials=None):
        return f"http://{credentials + '@' if credentials else ''}127.0.0.1:{self.port}"

    def targets(self):
        with self._lock:
            return list(self._targets)

    def close(self):
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn, self._known(conn), contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = conn.recv(1)
                if not byte:
                    return
                head += byte
            lines = head.split(b"\r\n")
            verb, target, _ = lines[0].split(b" ")
            with self._lock:
                self._targets.append(target.decode())
            if self._wanted is not None and b"Proxy-Authorization: " + self._wanted not in lines:
                conn.sendall(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
            elif verb != b"CONNECT":
                conn.sendall(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n")
            elif self.answer is not None:
                conn.sendall(self.answer)
            else:
                self._tunnel(conn)

    def _tunnel(self, conn):
        with socket.create_connection(("127.0.0.1", self._world_port)) as world, self._known(world):
            conn.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_copy, args=(world, conn), daemon=True)
            back.start()
            _copy(conn, world)
            back.join()

    @contextlib.contextmanager
    def _known(self, sock):
        with self._lock:
            self._sockets.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(sock)


def _copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
