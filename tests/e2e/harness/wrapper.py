# SPDX-License-Identifier: Apache-2.0
"""`posthorn dbt` from outside: programs that stand for dbt, the wrapper around them, and a server that records what is
reported and answers as it is told."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .server import BIN, clean_environment
from .wait import net, wait_for

TOKEN = "dbtu_a-token-that-nobody-sees"
RUN = re.compile(r"^/dbt/api/posthorn/accounts/(\d+)/runs/(\d+)(/artifacts/[^/]+|/ingested)?$")
OK = {"status": {"code": 200, "is_success": True}}


@dataclass
class Call:
    """One request. `what` is "3", "10"… for a report of this status, the artifact's name, or "ingested"."""

    method: str
    path: str
    headers: dict
    body: bytes
    account: int = 0
    run: int = 0
    what: str = ""
    status: int = 0

    @property
    def report(self):
        return json.loads(self.body)


class Reports:
    """A server for reports on a loopback port. `answer(call)` gives a status, or None for the usual one; it may also
    wait. `text` is the body of every answer in place of the usual one. The server can stop and come back."""

    def __init__(self):
        self.calls = []
        self.answer = lambda call: None
        self.text = None
        self._lock = threading.Lock()
        self._http = None
        # Keeps the port while no server is there.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self.address = self._port.getsockname()
        self.url = "http://127.0.0.1:%d" % self.address[1]

    def start(self):
        reports = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_call(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                reports._take(self, body)

            do_PUT = do_POST = do_GET = handle_call

            def log_message(self, *_):
                pass

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # a client that went away

        self._http = Http(self.address, Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def _take(self, handler, body):
        headers = {name.lower(): value for name, value in handler.headers.items()}
        call = Call(handler.command, handler.path, headers, body)
        match = RUN.match(handler.path)
        if match:
            call.account, call.run = int(match[1]), int(match[2])
            kind = match[3]
            call.what = kind.rsplit("/", 1)[-1] if kind else str(json.loads(body)["status"])
        status = (self.answer(call) if match else 404) or 200
        call.status = status
        with self._lock:
            self.calls.append(call)
        error = {"code": status, "is_success": False, "user_message": "The request was invalid."}
        text = json.dumps(OK if status < 300 else {"status": error, "data": {"job_id": "is wrong"}}).encode()
        text = text if self.text is None else self.text.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def stop(self):
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def clear(self):
        with self._lock:
            self.calls = []

    def taken(self, run=None):
        """The calls that were answered with 2xx."""
        with self._lock:
            return [call for call in self.calls if 200 <= call.status < 300 and run in (None, call.run)]

    def whats(self, run=None):
        return [call.what for call in self.taken(run)]

    def runs(self):
        """Run ids in the order in which they were first heard of."""
        return list(dict.fromkeys(call.run for call in self.taken()))

    def wait(self, what, count=1):
        wait_for(lambda: self.whats().count(what) >= count, 15, lambda: f"{count} of {what}; {self.whats()}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self._port.close()


RESULTS = {
    "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json", "dbt_version": "1.9.2",
                 "generated_at": "2999-01-01T00:00:00.000000Z", "invocation_id": "x", "env": {}},
    "results": [
        {"status": "success", "message": "OK", "unique_id": "model.shop.orders"},
        {"status": "error", "message": "Catalog Error: no such table", "unique_id": "model.shop.broken"},
        {"status": "fail", "message": "Got 2 results", "unique_id": "test.shop.not_null_orders_id.cf6c17daed"},
        {"status": "skipped", "message": None, "unique_id": "model.shop.after"},
    ],
    "elapsed_time": 1.0,
    "args": {},
}
MANIFEST = {"metadata": {"dbt_version": "1.9.2", "project_name": "shop"}, "nodes": {}}


@dataclass
class Wrapper:
    """A folder with a dbt project, a program `dbt` that does what a script says, and a spool of its own."""

    root: Path
    url: str
    env: dict = field(default_factory=dict)

    def __post_init__(self):
        self.project = self.root / "shop"
        self.spool = self.root / "spool"
        self.bin = self.root / "bin"
        for folder in (self.project, self.bin):
            folder.mkdir(parents=True)
        (self.project / "dbt_project.yml").write_text("name: shop\nversion: '1.0'\nprofile: shops\n")
        (self.root / "profiles.yml").write_text("shops:\n  target: prod\n  outputs: {}\n")
        (self.root / "results.json").write_text(json.dumps(RESULTS))
        (self.root / "manifest.json").write_text(json.dumps(MANIFEST))
        self.dbt("exit 0")

    def dbt(self, script, name="dbt"):
        """Makes the program; in the script $ROOT is the folder above the project."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\nROOT={self.root}\n{script}\n")
        path.chmod(0o755)
        return path

    WRITES = "mkdir -p target && cp $ROOT/results.json target/run_results.json && cp $ROOT/manifest.json target/\n"

    def environment(self, **more):
        env = {
            "POSTHORN_URL": self.url,
            "POSTHORN_TOKEN": TOKEN,
            "POSTHORN_ACCOUNT": "7",
            "POSTHORN_SPOOL": str(self.spool),
            "DBT_PROFILES_DIR": str(self.root),
            "GIT_CEILING_DIRECTORIES": str(self.root.parent),
            "HOME": str(self.root),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            **self.env,
            **more,
        }
        return {key: value for key, value in plain_environment(env).items() if value is not None}

    def start(self, *words, flags=(), env=None, **kwargs):
        """The wrapper around `dbt` and these words, running."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs.setdefault("cwd", self.project)
        command = [BIN, "dbt", *flags, "--", *(words or ("dbt", "build"))]
        return subprocess.Popen(command, text=True, env=self.environment(**(env or {})), **kwargs)

    def run(self, *words, code=0, timeout=30, **kwargs):
        process = self.start(*words, **kwargs)
        out, err = process.communicate(timeout=net(timeout))
        assert process.returncode == code, (process.returncode, out, err)
        process.out, process.err = out, err
        return process

    def flush(self, code=0, env=None, flags=()):
        done = subprocess.run([BIN, "dbt", "--flush", *flags], env=self.environment(**(env or {})), text=True,
                              capture_output=True, timeout=net(60))
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def spooled(self, part="."):
        """The folders of runs, the oldest first."""
        folder = self.spool / part
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [folder / name for name in names if name[:1].isdigit()]


def plain_environment(extra=None):
    """Without what the machine of the tests says of itself."""
    env = clean_environment()
    marks = ("DBT_", "GITHUB_", "CI_", "GITLAB_", "BUILDKITE", "CIRCLE", "JENKINS", "AIRFLOW_", "TF_BUILD", "BITBUCKET")
    env = {key: value for key, value in env.items() if not key.startswith(marks)}
    env.update(extra or {})
    return env


def private(path):
    """Nobody but the owner may look at it."""
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def children(pid):
    """Process ids of a process's children."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def wait_file(path, timeout=15):
    """Its text, as soon as it has some."""
    wait_for(lambda: path.exists() and path.read_text(), timeout, f"the file {path}")
    return path.read_text()


SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2")}
