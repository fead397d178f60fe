# SPDX-License-Identifier: Apache-2.0
"""What all scenarios use: the processes, the server under test, the generator, waiting for the end."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

METRIC = "posthorn_attempts_succeeded_total"
NO_PROGRESS_S = 20     # a drain that stands still for so long is over
POLL_S = 0.02
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RETRIES = "retry_schedule=0.05,0.1"


class Failed(Exception):
    """A scenario could not be measured; the text says why."""


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def now_us():
    """CLOCK_MONOTONIC, which generator and receiver use too."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def fetch(url, token=None, method="GET", body=None):
    """One call; one with a body, which becomes JSON, is a POST."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = b"" if method == "POST" else None
    if body is not None:
        method, data = "POST", json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def cpu_s_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Process:
    """A child that prints `ready URL` and runs until it is ended."""

    def __init__(self, command, log_path=None):
        self.log = open(log_path, "wb") if log_path else None
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        self.pid = self.child.pid
        try:
            self.said = self._wait_ready(command[0], log_path)
            self.url = re.search(r"^ready (\S+)$", self.said, re.MULTILINE).group(1)
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self, name, log_path):
        deadline = time.monotonic() + 20
        text = b""
        while True:
            if re.search(rb"^ready http://\S+$", text, re.MULTILINE):
                return text.decode()
            readable, _, _ = select.select([self.child.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.child.stdout.fileno(), 4096) if readable else b""
            if not piece:
                told = pathlib.Path(log_path).read_text(errors="replace")[-2000:] if log_path else ""
                raise Failed(f"{name} did not get ready\n{told}")
            text += piece

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                note(f"process {self.pid} ignored SIGTERM for 20 s, killing it")
                self.child.kill()
                self.child.wait()
        self.child.stdout.close()
        if self.log:
            self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Receiver(Process):
    """ph-receiver. Paths below /hang are never answered; the gate is the port that can be shut."""

    def __init__(self, options):
        command = [options.ph_receiver, "--threads", str(options.receiver_threads), "--hang", "/hang"]
        super().__init__(command + (["--verify", options.verify] if options.verify else []))
        self.gate_url = re.search(r"^gate (\S+)$", self.said, re.MULTILINE).group(1)

    def reset(self):
        fetch(self.url + "/reset", method="POST")

    def open_gate(self):
        fetch(self.url + "/open", method="POST")

    def close_gate(self):
        fetch(self.url + "/close", method="POST")

    def stats(self):
        return json.loads(fetch(self.url + "/stats"))


class Server:
    """What is measured: ours, started with a data directory of its own, or a foreign one."""

    def __init__(self, url, token, pid):
        self.url, self.token, self.pid = url.rstrip("/"), token, pid

    def cpu_s(self):
        return None if self.pid is None else cpu_s_of(self.pid)

    def memory_mb(self, name):
        if self.pid is None:
            return None
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return round(int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE).group(1)) / 1024, 1)

    def metric(self, name):
        """One of /metrics, its labels summed, or None when the server does not tell."""
        try:
            text = fetch(self.url + "/metrics")
        except (urllib.error.URLError, OSError):
            return None
        lines = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)", text, re.MULTILINE)
        return int(sum(map(float, lines))) if lines else None

    def recorded_metric(self):
        """Successful attempts committed to the store since the start, or None."""
        return self.metric(METRIC)

    def recorded_stats(self, app, endpoints):
        """The same over the API, for a foreign server: successful attempts of all endpoints."""
        total = 0
        for endpoint in endpoints:
            path = f"/api/v1/app/{app}/endpoint/{endpoint['id']}/stats"
            total += json.loads(fetch(self.url + path, self.token))["success"]
        return total


class Neighbours:
    """How much of the machine went to processes that are not part of the measurement. What the kernel
    does for us in threads of its own counts as theirs: a few hundredths."""

    def __init__(self, *pids):
        self.pids = pids
        self.start = self._seconds()

    def _seconds(self):
        """Since ever: of all cores together, at work; of us; by the clock."""
        fields = pathlib.Path("/proc/stat").read_text().split()
        # user, nice, system and stolen; interrupts are those of our sockets.
        busy = sum(int(fields[1 + index]) for index in (0, 1, 2, 7)) / TICKS_PER_S
        return busy, sum(os.times()[:4]) + sum(map(cpu_s_of, self.pids)), time.monotonic()

    def share(self):
        busy, own, clock = (now - then for now, then in zip(self._seconds(), self.start))
        return round(max(0, busy - own) / (clock * os.cpu_count()), 3)


@contextlib.contextmanager
def data_folder(options):
    data = tempfile.mkdtemp(prefix="server-", dir=options.data_root)
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def server_on(options, data, settings=(RETRIES,)):
    """Our server on a data directory that the caller has made."""
    command = [options.posthorn, "serve", "--data", data, "--listen", "127.0.0.1:0",
               "--set", "allow_subnets=127.0.0.0/8"]
    for setting in [*settings, *options.set]:
        command += ["--set", setting]
    with Process(command, os.path.join(data, "server.log")) as process:
        made = subprocess.run([options.posthorn, "jwt", "generate", "--data", data],
                              capture_output=True, text=True, timeout=20)
        token = re.search(r"Token \(Bearer\): (\S+)", made.stdout)
        if token is None:
            raise Failed(f"posthorn jwt generate: {made.stderr.strip() or 'printed no token'}")
        yield Server(process.url, token.group(1), process.pid)


@contextlib.contextmanager
def server(options, settings=(RETRIES,)):
    """A fresh one of ours, or the foreign one."""
    if options.server_url:
        yield Server(options.server_url, options.token, options.server_pid)
        return
    with data_folder(options) as data, server_on(options, data, settings) as target:
        yield target


def load(options, arguments):
    """Runs the generator; its line of JSON."""
    command = [options.ph_load, "--connections", str(options.connections), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not done.stdout.strip():
        raise Failed(f"ph-load: {done.stderr.strip()}")
    if done.stderr.strip():
        note(done.stderr.strip())
    return json.loads(done.stdout)


def drain(target, receiver, expected, before, result=None):
    """Waits until all deliveries have arrived and are recorded. Returns the receiver's counts, how many
    are recorded, and the time when both were complete, or of the last progress."""
    by_metric = before is not None
    last_us, last = now_us(), None
    while True:
        stats = receiver.stats()
        has_arrived = stats["distinct"] >= expected
        recorded = None
        if by_metric:
            recorded = target.recorded_metric() - before
        elif has_arrived:
            recorded = target.recorded_stats(result["app"], result["endpoints"])
        at_us = now_us()
        if has_arrived and recorded is not None and recorded >= expected:
            return stats, recorded, at_us
        if (stats["received"], recorded) != last:
            last_us, last = at_us, (stats["received"], recorded)
        elif at_us - last_us > NO_PROGRESS_S * 1_000_000:
            note(f"no progress for {NO_PROGRESS_S} s: {stats['distinct']} of {expected} arrived, {recorded} recorded")
            return stats, recorded, last_us
        time.sleep(POLL_S if by_metric or not has_arrived else 0.2)


def print_line(line):
    print(json.dumps(line), flush=True)
