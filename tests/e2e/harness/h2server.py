# SPDX-License-Identifier: Apache-2.0
"""A receiver that speaks HTTP/2 over TLS and nothing else. It answers 200 and records what came."""

import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.events

from .receiver import Request


class Http2Receiver:
    def __init__(self, context, host="127.0.0.1"):
        """`context`: a server context whose ALPN list is ["h2"]."""
        self._context = context
        self._listener = socket.create_server((host, 0), backlog=16)
        self.host, self.port = host, self._listener.getsockname()[1]
        self._lock = threading.Condition()
        self._requests = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/hook"):
        return f"https://{self.host}:{self.port}{path}"

    def requests(self, path=None):
        with self._lock:
            return [r for r in self._requests if path is None or r.path == path]

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
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
            with self._lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self._serve, args=(conn, number), daemon=True).start()

    def _serve(self, raw, number):
        try:
            with self._context.wrap_socket(raw, server_side=True) as conn:
                assert conn.selected_alpn_protocol() == "h2", conn.selected_alpn_protocol()
                self._talk(conn, number)
        except (OSError, ssl.SSLError, AssertionError):
            pass

    def _talk(self, conn, number):
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        session.initiate_connection()
        conn.sendall(session.data_to_send())
        streams = {}
        while True:
            data = conn.recv(65536)
            if not data:
                return
            for event in session.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    streams[event.stream_id] = (event.headers, bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    streams[event.stream_id][1].extend(event.data)
                    session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._finish(session, event.stream_id, streams.pop(event.stream_id), number)
            conn.sendall(session.data_to_send())

    def _finish(self, session, stream, collected, number):
        headers, body = collected
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        plain = [(name, value) for name, value in headers if not name.startswith(":")]
        with self._lock:
            self._requests.append(
                Request(
                    pseudo[":method"], pseudo[":path"], "HTTP/2", plain, bytes(body), number,
                    len(self._requests), time.monotonic(), time.time(),
                )
            )
            self._lock.notify_all()
        session.send_headers(stream, [(":status", "200"), ("content-length", "2")])
        session.send_data(stream, b"ok", end_stream=True)
