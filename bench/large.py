# SPDX-License-Identifier: Apache-2.0
"""The second group of scenarios: bad neighbours, backlogs, many endpoints, many stored messages.

Each is a function of (run) that yields lines; SCENARIOS names them. `run` is a Run.
"""

import contextlib
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.parse

import private_network
from harness import Failed, data_folder, drain, fetch, load, note, now_us, server, server_on

UID = "bench"
EVENT_TYPE = "job.run.completed"

# A message is never given up while the receiver is away, and the breaker's longest pause is short
# against the drain.
BACKLOG_SETTINGS = ["retry_schedule=1,2,5,10," + ",".join(["20"] * 28), "breaker_open=1"]
BACKLOG_MESSAGES, BACKLOG_ENDPOINTS = 1_000_000, [1, 1_000]

SLOW_HEALTHY, SLOW_RATE, SLOW_SECONDS, SLOW_PAIRS = 99, 40, 8, 3
# Short enough that attempts to the one that hangs end within the run, and the breaker opens.
SLOW_SETTINGS = ["delivery_timeout=2", "retry_schedule=1,2,5"]

# (endpoints, endpoints of one application)
LAYOUTS = [(1, 1), (100, 1), (100, 100), (10_000, 1), (10_000, 100), (100_000, 1), (100_000, 100)]
LAYOUT_EVENTS = 50_000

DEPTHS, DEPTH_FULL, DEPTH_EVENTS = [100_000, 1_000_000], 10_000_000, 50_000
LIST_CALLS = 60


class Run:
    """What a scenario needs: the options, the receiver, and a way to measure `e2e` beside it."""

    def __init__(self, options, receiver, e2e):
        self.options, self.receiver, self.e2e = options, receiver, e2e

    def scaled(self, amount, minimum=1):
        return max(minimum, int(amount * self.options.scale))


def prepare(run, target, applications, endpoints, receiver_url, has_channels=False):
    """Makes applications and endpoints; what it took."""
    fetch(target.url + "/api/v1/event-type", target.token, body={"name": EVENT_TYPE, "description": "Benchmark"})
    made = {}
    kinds = [("applications", applications)] + ([("endpoints", endpoints)] if endpoints else [])
    for kind, count in kinds:
        result = load(run.options, ["--url", target.url, "--token", target.token, "--uid", UID, "--make", kind,
                                    "--applications", str(applications), "--endpoints", str(endpoints),
                                    "--receiver", receiver_url, *(["--channels"] if has_channels else []),
                                    *(["--endpoint-secret", run.options.verify] if run.options.verify else [])])
        if result["accepted"] != count:
            raise Failed(f"made {result['accepted']} of {count} {kind}: {result['statuses']}")
        made[f"{kind}_per_s"] = result["per_s"]
    return made


def send(run, target, events, *arguments):
    return load(run.options, ["--url", target.url, "--token", target.token, "--uid", UID,
                              "--body-bytes", str(run.options.body_bytes), "--events", str(events), *arguments])


def spread(applications, endpoints, has_channels=False):
    return ["--applications", str(applications), "--endpoints", str(endpoints),
            *(["--channels"] if has_channels else [])]


def troubles(result):
    """What went wrong while accepting; nothing when nothing did."""
    keys = ["retries", "connection_errors", "unanswered"]
    return {key: result[key] for key in keys if result[key]} | {"statuses": result["statuses"]}


def missing(accepted, stats, recorded):
    """The honest fields. `recorded` counts successes."""
    return {"lost": max(0, accepted - stats["distinct"]), "unrecorded": max(0, accepted - (recorded or 0)),
            "duplicated": stats["duplicated"]}


def rate_of(deliveries, start_us, end_us):
    return round(deliveries * 1e6 / max(1, end_us - start_us))


# --- slow -------------------------------------------------------------------------------------------


def slow_once(run, has_bad, has_silent_name):
    """One measurement: every event goes to all endpoints of one application, at a rate well below
    what the server can do."""
    receiver = run.receiver
    receiver.reset()
    with server(run.options, SLOW_SETTINGS) as target:
        prepare(run, target, 1, SLOW_HEALTHY, receiver.url)
        if has_bad:
            bad = [receiver.url + "/hang/0"]
            bad += [f"http://{private_network.SILENT_NAME}/hook"] if has_silent_name else []
            for url in bad:
                fetch(f"{target.url}/api/v1/app/{UID}-00000000/endpoint", target.token, body={"url": url})
        seconds = run.scaled(SLOW_SECONDS, 2)
        result = send(run, target, SLOW_RATE * seconds, "--rate", str(SLOW_RATE), *spread(1, 0))
        expected = result["accepted"] * SLOW_HEALTHY
        stats, recorded, _ = drain(target, receiver, expected, 0)
        if has_bad and stats["hung"] == 0:
            raise Failed("nothing went to the endpoint that hangs")
        line = {"p50_ms": stats["p50_ms"], "p99_ms": stats["p99_ms"], "max_ms": stats["max_ms"],
                "deliveries": stats["distinct"], "hung": stats["hung"],
                "failed_attempts": target.metric("posthorn_attempts_failed_total"),
                "rss_peak_mb": target.memory_mb("VmHWM"), "events": result["events"]}
        return line | missing(expected, stats, recorded) | troubles(result)


def slow_here(run, why_no_name):
    """Pairs of measurements without and with the bad endpoints, as one line."""
    without, with_bad = [], []
    for _ in range(SLOW_PAIRS):
        without.append(slow_once(run, False, why_no_name is None))
        with_bad.append(slow_once(run, True, why_no_name is None))
    p99 = [[line["p99_ms"] for line in lines] for lines in (without, with_bad)]
    both = without + with_bad
    line = {"scenario": "slow", "healthy": SLOW_HEALTHY, "events_per_s": SLOW_RATE,
            "silent_name": "never answered" if why_no_name is None else f"skipped: {why_no_name}",
            "p99_ms_without": p99[0], "p99_ms_with": p99[1],
            "p99_ratio": round(statistics.median(p99[1]) / max(0.001, statistics.median(p99[0])), 2),
            "p99_ratio_asked": 1.5, "noise": round(max(p99[0]) / max(0.001, min(p99[0])), 2),
            "p50_ms_without": [one["p50_ms"] for one in without], "p50_ms_with": [one["p50_ms"] for one in with_bad],
            "rss_peak_mb": max(one["rss_peak_mb"] for one in both)}
    for key in ("events", "deliveries", "hung", "failed_attempts", "lost", "unrecorded", "duplicated"):
        line[key] = sum(one[key] for one in both)
    return line


def slow(run):
    """In a process of its own, because its network is one of its own: see private_network.py."""
    command = [sys.executable, sys.argv[0], *sys.argv[1:], "--in-private-network"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        text = child.communicate()[0]
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed("the run in a private network printed nothing")
    yield lines[0]


# --- backlog and restart ---------------------------------------------------------------------------


def wait_for(what, seconds, is_so):
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def fill(run, data, endpoints):
    """Accepts the backlog while connections are refused. Each endpoint has its own application."""
    receiver = run.receiver
    receiver.close_gate()
    receiver.reset()
    with server_on(run.options, data, BACKLOG_SETTINGS) as target:
        prepare(run, target, endpoints, endpoints, receiver.gate_url)
        result = send(run, target, run.scaled(BACKLOG_MESSAGES, 1000), *spread(endpoints, endpoints))
        wait_for("a breaker opening", 30, lambda: target.metric("posthorn_breaker_openings_total") > 0)
        line = {"endpoints": endpoints, "accepted": result["accepted"], "accept_per_s": result["per_s"],
                "rss_peak_accepting_mb": target.memory_mb("VmHWM"), "rss_anon_mb": target.memory_mb("RssAnon"),
                "failed_attempts": target.metric("posthorn_attempts_failed_total"), **troubles(result)}
        start_us = now_us()
    return line | {"stop_s": round((now_us() - start_us) / 1e6, 2)}


def backlog_once(run, endpoints, before=None):
    """Fills, starts the server anew with the receiver back, shuts the receiver until breakers are
    open, opens it and drains: so the drain is that of a server that has been refused. `before` is
    the rate of `e2e` just now; None: no drain."""
    receiver = run.receiver
    with data_folder(run.options) as data:
        line = fill(run, data, endpoints)
        receiver.open_gate()
        exec_us = now_us()
        with server_on(run.options, data, BACKLOG_SETTINGS) as target:
            ready_us = now_us()
            wait_for("a first delivery", 60, lambda: receiver.stats()["gate_first_us"] != 0)
            first_s = round((receiver.stats()["gate_first_us"] - exec_us) / 1e6, 3)
            yield {"scenario": "restart", "endpoints": endpoints, "pending": line["accepted"],
                   "first_delivery_s": first_s, "first_delivery_s_asked": 2,
                   "ready_s": round((ready_us - exec_us) / 1e6, 3), "stop_s": line["stop_s"]}
            if before is None:
                return
            receiver.close_gate()
            wait_for("half of the breakers opening", 60,
                     lambda: target.metric("posthorn_breakers_open") * 2 >= endpoints)
            start = receiver.stats()["distinct"]
            cpu_s = target.cpu_s()
            receiver.open_gate()
            open_us = now_us()
            stats, recorded, end_us = drain(target, receiver, line["accepted"], 0)
            first_us = stats["gate_first_us"] or end_us
            line |= {"drained": stats["distinct"] - start, "recovery_s": round((first_us - open_us) / 1e6, 3),
                     "seconds": round((end_us - open_us) / 1e6, 3),
                     "per_s": rate_of(stats["distinct"] - start, first_us, end_us),
                     "cpu_s": round(target.cpu_s() - cpu_s, 2),
                     "rss_peak_mb": max(line["rss_peak_accepting_mb"], target.memory_mb("VmHWM")),
                     "rss_peak_mb_asked": 150, "disk_mb": disk_mb(data)} | missing(line["accepted"], stats, recorded)
    after = run.e2e()
    yield {"scenario": "backlog", **line, "e2e_per_s": [before, after],
           "ratio_to_e2e": round(line["per_s"] * 2 / (before + after), 3), "ratio_to_e2e_asked": 0.5}


def backlog(run):
    rate = run.e2e()
    for endpoints in BACKLOG_ENDPOINTS:
        for line in backlog_once(run, endpoints, rate):
            rate = line.get("e2e_per_s", [rate])[-1]
            yield line


def restart(run):
    for endpoints in BACKLOG_ENDPOINTS:
        yield from backlog_once(run, endpoints)


# --- endpoints --------------------------------------------------------------------------------------


def endpoints(run):
    """Each event goes to one endpoint; all endpoints in turn. Where an application has many, the
    event's channel chooses the one."""
    one = None
    for total, per_application in LAYOUTS:
        total = run.scaled(total)
        applications = max(1, total // per_application)
        has_channels = per_application > 1
        run.receiver.reset()
        with server(run.options) as target:
            empty_mb = target.memory_mb("VmRSS")
            note(f"{total} endpoints in {applications} applications")
            line = {"scenario": "endpoints", "endpoints": total, "applications": applications}
            line |= prepare(run, target, applications, total, run.receiver.url, has_channels)
            line |= {"rss_empty_mb": empty_mb, "rss_made_mb": target.memory_mb("VmRSS")}
            before, cpu_s = target.recorded_metric(), target.cpu_s()
            result = send(run, target, run.scaled(LAYOUT_EVENTS, 100), "--seconds", str(run.options.seconds),
                          *spread(applications, total, has_channels))
            stats, recorded, end_us = drain(target, run.receiver, result["accepted"], before)
            line |= {"events": result["events"], "accepted": result["accepted"], "accept_per_s": result["per_s"],
                     "accept_p99_ms": result["p99_ms"], "deliveries": stats["distinct"],
                     "per_s": rate_of(stats["distinct"], result["start_us"], end_us),
                     "p50_ms": stats["p50_ms"], "p99_ms": stats["p99_ms"],
                     "cpu_s": round(target.cpu_s() - cpu_s, 2),
                     "rss_mb": target.memory_mb("VmRSS"), "rss_peak_mb": target.memory_mb("VmHWM")}
        one = one or line["per_s"]
        line["ratio_to_one"] = round(line["per_s"] / max(1, one), 3)
        yield line | missing(result["accepted"], stats, recorded) | troubles(result)


# --- depth ------------------------------------------------------------------------------------------


def disk_mb(folder):
    return round(sum(file.stat().st_size for file in pathlib.Path(folder).rglob("*") if file.is_file()) / 2**20, 1)


def list_latency(target, path):
    """Median and 99th percentile of one kept connection, and what the first call took."""
    address = urllib.parse.urlsplit(target.url).netloc
    took = []
    with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        for _ in range(LIST_CALLS):
            start_us = now_us()
            connection.request("GET", path, headers={"Authorization": f"Bearer {target.token}"})
            answer = connection.getresponse()
            body = answer.read()
            took.append((now_us() - start_us) / 1000)
            if answer.status != 200:
                raise Failed(f"{path} answered {answer.status}: {body[:200].decode(errors='replace')}")
    first, ordered = took[0], sorted(took)
    return {"first_ms": round(first, 2), "p50_ms": round(ordered[len(took) // 2], 2),
            "p99_ms": round(ordered[-1 - len(took) // 100], 2)}


def lists(target, oldest):
    """The lists that the console shows: the newest page, an old one, one that has to search."""
    application = f"/api/v1/app/{UID}-00000000"
    endpoint = json.loads(fetch(f"{target.url}{application}/endpoint", target.token))["data"][0]["id"]
    old = urllib.parse.quote(oldest)
    return {
        "messages": list_latency(target, f"{application}/msg?limit=50&with_content=false"),
        "messages_old": list_latency(target, f"{application}/msg?limit=50&with_content=false&before={old}"),
        "messages_none_match": list_latency(target, f"{application}/msg?limit=50&event_types=no.such.type"),
        "attempts": list_latency(target, f"{application}/attempt/endpoint/{endpoint}?limit=50&with_content=false"),
        "attempts_failed": list_latency(target, f"{application}/attempt/endpoint/{endpoint}?limit=50&status=2"),
    }


class Depth:
    """One store that grows: application 0 has the endpoint, accept-only events go to another."""

    def __init__(self, run, target):
        self.run, self.target = run, target
        self.stored = self.delivered = 0
        prepare(run, target, 1, 1, run.receiver.url)
        made = json.loads(fetch(target.url + "/api/v1/app", target.token,
                                body={"name": "benchmark", "uid": "accept-00000000"}))
        self.accept_path = f"/api/v1/app/{made['id']}/msg?with_content=false"
        self.troubles = {}

    def _note(self, result):
        self.stored += result["accepted"]
        self.troubles = troubles(result)

    def accept(self, events):
        result = send(self.run, self.target, events, "--path", self.accept_path)
        self._note(result)
        return result["per_s"]

    def deliver(self, events):
        """Accepts and delivers; the rate and what is missing."""
        self.run.receiver.reset()
        before = self.target.recorded_metric()
        result = send(self.run, self.target, events, *spread(1, 1))
        stats, recorded, end_us = drain(self.target, self.run.receiver, result["accepted"], before)
        self._note(result)
        return (rate_of(stats["distinct"], result["start_us"], end_us), missing(result["accepted"], stats, recorded),
                stats)


def depth(run):
    first = None
    with data_folder(run.options) as data, server_on(run.options, data) as target:
        store = Depth(run, target)
        for goal in DEPTHS + ([DEPTH_FULL] if run.options.full else []):
            goal = run.scaled(goal, 1000)
            events = min(run.scaled(DEPTH_EVENTS, 200), goal // 4)
            note(f"{goal} stored messages")
            fill_rate, fill_missing, _ = store.deliver(max(1, goal - store.stored - 2 * events))
            oldest = json.loads(fetch(f"{target.url}/api/v1/app/{UID}-00000000/msg?limit=1&with_content=false",
                                      target.token))["data"][0]["timestamp"] if first is None else oldest
            accept = store.accept(events)
            rate, gone, stats = store.deliver(events)
            line = {"scenario": "depth", "stored": store.stored, "fill_per_s": fill_rate, "accept_per_s": accept,
                    "e2e_per_s": rate, "p99_ms": stats["p99_ms"], "lists": lists(target, oldest),
                    "rss_mb": target.memory_mb("VmRSS"), "rss_peak_mb": target.memory_mb("VmHWM"),
                    "disk_mb": disk_mb(data), **{key: gone[key] + fill_missing[key] for key in gone}, **store.troubles}
            first = first or line
            line["accept_to_first_depth"] = round(accept / max(1, first["accept_per_s"]), 3)
            line["e2e_to_first_depth"] = round(rate / max(1, first["e2e_per_s"]), 3)
            yield line


SCENARIOS = {"slow": slow, "backlog": backlog, "restart": restart, "endpoints": endpoints, "depth": depth}
