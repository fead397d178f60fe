# SPDX-License-Identifier: Apache-2.0
"""Commands run to their end and judged by exit code, stdout and stderr; and the two that stay: a
listener and the demo."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx

from . import signatures
from .server import BIN, clean_environment, run
from .wait import net, wait_for

SECRET = signatures.new_symmetric()
NOBODY = 65534


def try_run(*args, **kwargs):
    kwargs.setdefault("timeout", 5)
    return run(*args, check=False, **kwargs)


def is_usage_error(done, *words):
    """Wrong usage: exit code 2, nothing on stdout, one line that says what was wrong."""
    assert done.returncode == 2, f"{done.returncode}: {done.stdout!r} {done.stderr!r}"
    assert done.stdout == ""
    return says(done, *words)


def is_failure(done, *words):
    """Right usage that did not work out: exit code 1, the reason on stderr."""
    assert done.returncode == 1, f"{done.returncode}: {done.stdout!r} {done.stderr!r}"
    assert done.stdout == ""
    return says(done, *words)


def says(done, *words):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("posthorn: ")]
    for word in words:
        assert str(word) in line, f"{word!r} is not in {line!r}"
    return line


def doctor(data, **kwargs):
    """(exit code, the lines that say FAIL, the whole output)"""
    done = try_run("doctor", data=data, timeout=30, **kwargs)
    assert done.stderr == "", done.stderr
    fails = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert (done.returncode == 0) == (not fails), done.stdout
    assert all(": " in line for line in fails), "a FAIL without advice"
    return done.returncode, "\n".join(fails), done.stdout


class Listen:
    """`posthorn listen` with the lines that it printed so far."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [BIN, "listen", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )
        self.ready = self.process.stdout.readline().decode()
        first = json.loads(self.ready)["ready"] if "--json" in words else self.ready.split()[1]
        self.url = first

    def post(self, path="/hook", body=b'{"a": 1}', secret=SECRET, at=None, key="msg_1"):
        stamp = str(int(time.time() if at is None else at))
        text = b".".join([key.encode(), stamp.encode(), body])
        headers = {
            "webhook-id": key,
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + signatures.v1(secret, text),
        }
        with httpx.Client(trust_env=False, timeout=net(5)) as client:
            return client.post(self.url + path, content=body, headers=headers)

    def lines(self, code=0):
        """What it printed after the ready line, when it has ended, with `code`."""
        out, err = self.process.communicate(timeout=net(20))
        assert self.process.returncode == code and err == b"", (self.process.returncode, err)
        return out.decode().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Terminal:
    """A running command whose standard error is a terminal; `text` is what it has shown there."""

    def __init__(self, server, *words):
        self.text = ""
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [BIN, *map(str, words), "--data", str(server.data)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            env=clean_environment(),
        )
        os.close(theirs)
        self._thread = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._thread.start()

    def _read(self, ours):
        try:
            while piece := os.read(ours, 4096):
                self.text += piece.decode()
        except OSError:
            pass  # the other side is closed
        os.close(ours)

    def end(self):
        out, _ = self.process.communicate(timeout=net(30))
        self._thread.join(net(5))
        return self.process.returncode, out


DELIVERED = re.compile(r"^\S+Z /hook/(\w+) (msg_\w{27}) signature verified v1a?,\S+$")


def folders_of(pid):
    """The demo folders in which a process holds files open."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(link))
    return {Path(link).parent for link in links if "/posthorn-demo-" in link}


def demo_is_well(env=None):
    """Start the demo; its six first deliveries come and verify, and SIGTERM ends it with 0. Gives
    back the folders that it used."""
    process = subprocess.Popen(
        [BIN, "serve", "--demo", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment({"POSTHORN_CORE_DUMPS": "true", **(env or {})}),
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    found = lambda: [m for m in map(DELIVERED.match, list(lines)) if m]  # noqa: E731
    try:
        wait_for(lambda: len(found()) >= 6, 10, lambda: f"six verified deliveries; {lines}")
        folders = folders_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(net(20)) == 0
    finally:
        process.kill()
        process.wait()
        reader.join()
        errors = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert lines[0].startswith("ready http://127.0.0.1:")
    assert {match.group(1) for match in found()} == {"everything", "failures"}
    assert not any("no signature" in line for line in lines)
    assert errors == "", errors
    payloads = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(payloads) == len(found())
    return folders


class AsNobody:
    """A copy of a data directory, and of the program, where a user without rights can get at it."""

    def __init__(self, data):
        self.root = Path(tempfile.mkdtemp(prefix="posthorn-nobody-"))
        self.root.chmod(0o755)
        self.data = self.root / "data"
        shutil.copytree(data, self.data)
        shutil.copy(BIN, self.root / "posthorn")
        self._who = {}
        if os.geteuid() == 0:
            self._who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for entry in [self.data, *self.data.iterdir()]:
                os.chown(entry, NOBODY, NOBODY)

    def run(self, *words):
        return subprocess.run(
            [self.root / "posthorn", *words, "--data", self.data],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=net(20),
            **self._who,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.data.chmod(0o700)
        shutil.rmtree(self.root)
