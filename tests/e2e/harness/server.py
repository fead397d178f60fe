# SPDX-License-Identifier: Apache-2.0
"""The server under test: one `posthorn serve` process on a free loopback port and a data directory of its own."""

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from .api import Api
from .wait import net

TOP = Path(__file__).resolve().parents[3]
BIN = str((TOP / os.environ.get("POSTHORN_BIN", "build/release/posthorn")).resolve())

# What nearly every test wants: loopback endpoints are allowed and retries come at once.
DEFAULTS = {"allow_subnets": "127.0.0.0/8,::1/128", "retry_schedule": "0.05,0.1"}

_READY = re.compile(r"^ready (https?://\S+)$")
_TOKEN = re.compile(r"^Token \(Bearer\): (\S+)$", re.MULTILINE)


def clean_environment(extra=None):
    """The environment of every child: nothing of the caller's POSTHORN_* or proxy settings leaks in."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("POSTHORN_") and not key.lower().endswith("_proxy")
    }
    env.update(extra or {})
    return env


def run(*args, data=None, check=True, input=None, env=None, timeout=30):
    """Run a subcommand to its end; returns CompletedProcess with text output. check=True wants exit code 0."""
    command = [BIN, *args]
    if data is not None:
        command += ["--data", str(data)]
    done = subprocess.run(
        command, input=input, capture_output=True, text=True, env=clean_environment(env), timeout=net(timeout)
    )
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


class Server:
    """A server process. settings: option table keys, given as --set; None removes a default.

    The object survives restarts: stop() or kill() and start() again use the same data directory and port, so that
    clients can stay. A socket that does not listen keeps the port from everybody else while no server runs.
    """

    def __init__(self, settings=None, env=None, args=(), defaults=DEFAULTS, data=None):
        self._root = Path(tempfile.mkdtemp(prefix="posthorn-e2e-"))
        self.data = Path(data) if data else self._root / "data"
        self.log_path = self._root / "log"
        merged = {**defaults, **(settings or {})}
        self.settings = {key: value for key, value in merged.items() if value is not None}
        self._env = env or {}
        self._args = list(args)
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self._listen = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.process = None
        self.url = None
        self.stdout = []
        self._org_token = None
        self._apis = []

    # ---- life ----

    def command(self):
        words = [BIN, "serve", "--data", str(self.data), "--listen", self._listen, *self._args]
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        return words

    def spawn(self):
        """Start the process without waiting; gives a queue on which the address will come (None: ended)."""
        assert self.process is None, "the server runs already"
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=clean_environment(self._env),
        )
        log.close()
        ready = queue.Queue()
        threading.Thread(target=self._read_stdout, args=(self.process.stdout, ready), daemon=True).start()
        return ready

    def start(self, timeout=15.0):
        """Start and wait for the ready line."""
        ready = self.spawn()
        try:
            url = ready.get(timeout=net(timeout))
        except queue.Empty:
            url = None
        if url is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(net(5))  # its last line may come before its end
            code = self.process.poll()
            self.kill()
            raise AssertionError(f"the server did not get ready (exit code {code}):\n{self.log()[-4000:]}")
        self.url = url
        self._listen = url.split("://", 1)[1]
        return self

    def _read_stdout(self, stream, ready):
        for line in stream:
            line = line.rstrip("\n")
            self.stdout.append(line)
            match = _READY.match(line)
            if match:
                ready.put(match.group(1))
        ready.put(None)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self):
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout=45.0):
        """Wait for the end of the process; returns its exit code."""
        code = self.process.wait(net(timeout))
        self.process = None
        return code

    def stop(self, timeout=45.0):
        """SIGTERM, and the exit code must be 0."""
        if self.process is None:
            return
        self.terminate()
        code = self.wait(timeout)
        assert code == 0, f"the server ended with {code} after SIGTERM:\n{self.log()[-4000:]}"

    def kill(self):
        """kill -9, as a power cut of the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(net(30))
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """Stop, and remove the data. A server that crashed meanwhile fails the test here."""
        for api in self._apis:
            api.close()
        try:
            if self.process is not None:
                code = self.process.poll()
                assert code is None, f"the server had ended by itself with {code}:\n{self.log()[-4000:]}"
                self.stop()
        finally:
            self.kill()
            self._port.close()
            shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, kind, *_):
        if kind is not None:
            # The test failed already: its own words matter more than how the server ends.
            print(f"---- server log ({' '.join(self.command())})\n{self.log()[-4000:]}")
            self.kill()
        self.close()

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    # ---- credentials ----

    def run(self, *args, **kwargs):
        """Run a subcommand on this server's data directory, with this server's environment."""
        kwargs.setdefault("env", self._env)
        return run(*args, data=self.data, **kwargs)

    def jwt(self, org=None):
        """A bearer token of an organisation (default: the default organisation)."""
        done = self.run("jwt", "generate", *([org] if org else []))
        match = _TOKEN.search(done.stdout)
        assert match, f"no token in {done.stdout!r}"
        return match.group(1)

    @property
    def org_token(self):
        if self._org_token is None:
            self._org_token = self.jwt()
        return self._org_token

    def app_token(self, app_id):
        token = self.run("token", "create", "--surface", "native", "--app", app_id).stdout
        assert token.count("\n") == 1 and token.strip(), f"the token is not alone on stdout: {token!r}"
        return token.strip()

    # ---- clients ----

    def api(self, token=None):
        """A client with a token: of the default organisation unless given; "" sends no Authorization header."""
        api = Api(self, self.org_token if token is None else token)
        self._apis.append(api)
        return api

    # ---- the process as the kernel sees it ----

    def rss_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


__all__ = ["BIN", "DEFAULTS", "TOP", "Server", "clean_environment", "run"]
