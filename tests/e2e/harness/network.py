# SPDX-License-Identifier: Apache-2.0
"""A network of its own in which every address of the world is this machine, with a name server
that answers what a test wants. Needs root: it is a network and a mount namespace of one thread, and
whatever that thread starts is in it."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from .namespace import CLONE_NEWNET, CLONE_NEWNS, MS_BIND, Namespace


def is_possible():
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Network(Namespace):
    def __init__(self):
        super().__init__(CLONE_NEWNET | CLONE_NEWNS)
        self._folder = Path(tempfile.mkdtemp(prefix="posthorn-net-"))
        self.run(self._furnish)

    def close(self):
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _furnish(self):
        files = {
            "resolv.conf": "nameserver 127.0.0.53\noptions timeout:2 attempts:2\n",
            "hosts": "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 listed.test\n",
            "nsswitch.conf": "hosts: files dns\n",
        }
        for name, text in files.items():
            path = self._folder / name
            path.write_text(text)
            self.mount(path, f"/etc/{name}", flags=MS_BIND)
        for words in (
            "link set lo up",
            "route add local default dev lo",
            "-6 route add local default dev lo",
        ):
            subprocess.run(["ip", *words.split()], check=True)


class NameServer:
    """Answers with what `answers` gives for a name: a list of addresses, or a function of the
    number of earlier questions about it. Nothing is kept longer than an answer's lifetime of 0."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.53", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                question, client = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(question), client)
            except OSError:
                return

    def _answer(self, question):
        labels, place = [], 12
        while question[place]:
            labels.append(question[place + 1 : place + 1 + question[place]].decode().lower())
            place += 1 + question[place]
        name = ".".join(labels)
        kind = int.from_bytes(question[place + 1 : place + 3], "big")
        asked = self.asked.setdefault((name, kind), 0)
        self.asked[name, kind] += 1
        found = self.answers(name)
        addresses = found(asked) if callable(found) else found
        family, number = (socket.AF_INET6, 28) if kind == 28 else (socket.AF_INET, 1)
        records = [
            socket.inet_pton(family, address)
            for address in addresses or []
            if (":" in address) == (family == socket.AF_INET6) and kind == number
        ]
        head = question[:2] + b"\x85\x80" if addresses else question[:2] + b"\x85\x83"
        out = head + b"\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0"
        out += question[12 : place + 5]
        for data in records:
            out += b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\0"
            out += len(data).to_bytes(2, "big") + data
        return out


class Trap:
    """A listener on all addresses of the network. It answers 200 and remembers where to each
    connection went."""

    def __init__(self):
        self._socket = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
        )
        self.port = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._reached = []
        threading.Thread(target=self._accept, daemon=True).start()

    def reached(self):
        """The addresses that were connected to since this was asked last."""
        with self._lock:
            reached, self._reached = self._reached, []
        return reached

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._reached.append(conn.getsockname()[0].removeprefix("::ffff:"))
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn, conn.makefile("rb") as reader:
            try:
                while reader.readline(65536):
                    length = 0
                    while (line := reader.readline(65536)) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    reader.read(length)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                pass
