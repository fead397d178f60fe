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

import history
import private_network
from harness import (NO_PROGRESS_S, POLL_S, RETRIES, Failed, Neighbours, data_folder, drain, fetch, load, note, now_us,
                     server, server_on)

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

# Of the rate of `e2e`, so that the server has air to breathe and latency means something.
UPKEEP_SHARE, UPKEEP_PAIRS, UPKEEP_WARM_SECONDS, UPKEEP_SECONDS = 0.45, 3, 8, 12
# Everything older than some five seconds is deleted; the checkpoints are those of every server.
UPKEEP_WITH = [RETRIES, "retention_days=0.00006"]
# Nothing is deleted for 30 days, and the write-ahead log is never copied.
UPKEEP_WITHOUT = [RETRIES, "wal_checkpoint_bytes=64GiB", "wal_bytes_max=256GiB"]
UPKEEP_CHECKPOINTS_MIN, UPKEEP_DELETED_MIN = 3, 1000

DEPTHS, DEPTH_FULL, DEPTH_EVENTS = [100_000, 1_000_000], 10_000_000, 50_000
LIST_CALLS = 300

# Users that are made, and how many a second, with the deliveries of their hooks, are asked for.
MAGPIE_USERS, MAGPIE_ASKED = 30_000, 1_500

# A measurement during which others used more than this share of the machine is made again.
OTHERS_SHARE_MAX, TRIES_MAX = 0.08, 5


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


def undisturbed(measure):
    """What `measure` gives, again while others were busy; its `others` says whether they were to the end."""
    for _ in range(TRIES_MAX):
        line = measure()
        if line["others"] <= OTHERS_SHARE_MAX:
            break
        note(f"others used {line['others']:.0%} of the machine")
    return line


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


# --- upkeep -----------------------------------------------------------------------------------------


def upkeep_of(target):
    """How many messages retention has deleted, and how often the log was copied into the database."""
    return {"deleted": target.metric("posthorn_retention_rows_total"),
            "checkpoints": target.metric("posthorn_checkpoint_seconds_count")}


def upkeep_once(run, rate, is_kept_up):
    """One measurement on a fresh store, after a while of the same load: by then messages are old enough
    to be deleted and the log has its usual size."""
    receiver = run.receiver
    with server(run.options, UPKEEP_WITH if is_kept_up else UPKEEP_WITHOUT) as target:
        prepare(run, target, 1, 1, receiver.url)
        receiver.reset()
        load_of = ["--rate", str(rate), *spread(1, 1)]
        warm = send(run, target, rate * UPKEEP_WARM_SECONDS, *load_of)
        drain(target, receiver, warm["accepted"], 0)
        receiver.reset()
        before, recorded_before, cpu_s = upkeep_of(target), target.recorded_metric(), target.cpu_s()
        neighbours = Neighbours(target.pid, receiver.pid)
        result = send(run, target, rate * run.scaled(UPKEEP_SECONDS, 4), *load_of)
        work = {key: value - before[key] for key, value in upkeep_of(target).items()}
        others = neighbours.share()
        stats, recorded, _ = drain(target, receiver, result["accepted"], recorded_before)
        if is_kept_up and (work["checkpoints"] < UPKEEP_CHECKPOINTS_MIN or work["deleted"] < UPKEEP_DELETED_MIN):
            raise Failed(f"there was too little upkeep to measure: {work}")
        if not is_kept_up and any(upkeep_of(target).values()):
            raise Failed(f"there was upkeep where none should be: {upkeep_of(target)}")
        if result["per_s"] < 0.97 * rate and others <= OTHERS_SHARE_MAX:
            raise Failed(f"{rate} events per second were asked for, {result['per_s']} were sent")
        note(f"{'with' if is_kept_up else 'without'} upkeep: p99 {stats['p99_ms']} ms, {work}, others {others}")
        line = {"p50_ms": stats["p50_ms"], "p99_ms": stats["p99_ms"], "max_ms": stats["max_ms"],
                "cpu_s": round(target.cpu_s() - cpu_s, 2), "rss_peak_mb": target.memory_mb("VmHWM"),
                "events": result["events"], "others": others, **work}
        return line | missing(result["accepted"], stats, recorded) | troubles(result)


def upkeep(run):
    """Pairs of measurements without and with retention and checkpoints, as one line."""
    rate = run.options.rate or max(100, int(run.e2e() * UPKEEP_SHARE))
    without, with_it = [], []
    for _ in range(UPKEEP_PAIRS):
        without.append(undisturbed(lambda: upkeep_once(run, rate, False)))
        with_it.append(undisturbed(lambda: upkeep_once(run, rate, True)))
    line = {"scenario": "upkeep", "events_per_s": rate}
    for key in ("p50_ms", "p99_ms", "max_ms", "cpu_s", "others"):
        line[f"{key}_without"] = [one[key] for one in without]
        line[f"{key}_with"] = [one[key] for one in with_it]
    p99 = [line["p99_ms_without"], line["p99_ms_with"]]
    line |= {"p99_ratio": round(statistics.median(p99[1]) / max(0.001, statistics.median(p99[0])), 2),
             "p99_ratio_asked": 2, "noise": round(max(p99[0]) / max(0.001, min(p99[0])), 2),
             "checkpoints": [one["checkpoints"] for one in with_it], "deleted": [one["deleted"] for one in with_it],
             "rss_peak_mb": max(one["rss_peak_mb"] for one in without + with_it)}
    for key in ("events", "lost", "unrecorded", "duplicated"):
        line[key] = sum(one[key] for one in without + with_it)
    yield line


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


def lists(run, target, oldest):
    """The lists that the console shows: the newest page, an old one, one that has to search."""
    neighbours = Neighbours(target.pid, run.receiver.pid)
    application = f"/api/v1/app/{UID}-00000000"
    endpoint = json.loads(fetch(f"{target.url}{application}/endpoint", target.token))["data"][0]["id"]
    old = urllib.parse.quote(oldest["timestamp"])
    messages = f"{application}/msg?limit=50&with_content=false"
    attempts = f"{application}/attempt/endpoint/{endpoint}?limit=50"
    paths = {
        "messages": messages,
        "messages_old": f"{messages}&before={old}",
        "messages_none_match": f"{messages}&event_types=no.such.type",
        "attempts": f"{attempts}&with_content=false",
        "attempts_old": f"{attempts}&with_content=false&before={old}",
        "attempts_with_content": f"{attempts}&with_content=true&with_msg=true",
        "attempts_failed": f"{attempts}&status=2",
        "attempts_of_message": f"{application}/attempt/msg/{oldest['id']}?limit=50",
        "endpoint_messages": f"{application}/endpoint/{endpoint}/msg?limit=50",
        "endpoint_messages_failed": f"{application}/endpoint/{endpoint}/msg?limit=50&status=2",
    }
    took = {name: list_latency(target, path) for name, path in paths.items()}
    return {"lists": took, "list_p99_ms": max(one["p99_ms"] for one in took.values()),
            "list_p99_ms_asked": 50, "others": neighbours.share()}


class Depth:
    """One store that grows: application 0 has the endpoint, accept-only events go to another."""

    def __init__(self, run, data):
        self.run, self.data = run, data
        self.stored = self.attempts = 0
        self.accept_path = self.middle = self.first = None

    def _prepare(self, target):
        prepare(self.run, target, 1, 1, self.run.receiver.url)
        made = json.loads(fetch(target.url + "/api/v1/app", target.token,
                                body={"name": "benchmark", "uid": "accept-00000000"}))
        self.accept_path = f"/api/v1/app/{made['id']}/msg?with_content=false"

    def _accept(self, target, events):
        result = send(self.run, target, events, "--path", self.accept_path)
        self.stored += result["accepted"]
        return {"accept_per_s": result["per_s"], **troubles(result)}

    def _deliver(self, target, events):
        """Accepts and delivers; the rate, and what is missing."""
        self.run.receiver.reset()
        before = target.recorded_metric()
        result = send(self.run, target, events, *spread(1, 1))
        stats, recorded, end_us = drain(target, self.run.receiver, result["accepted"], before)
        self.stored += result["accepted"]
        self.attempts += recorded
        return {"e2e_per_s": rate_of(stats["distinct"], result["start_us"], end_us), "p99_ms": stats["p99_ms"],
                **missing(result["accepted"], stats, recorded)}

    def repeat(self, goal):
        """Instead of filling for half an hour: see history.py. For this no server may run."""
        start_us = now_us()
        self.stored, self.attempts = history.repeat(self.data, goal)
        return {"repeated_s": round((now_us() - start_us) / 1e6, 1)}

    def measure(self, goal):
        """Fills up to the goal unless there is as much already, then measures."""
        events = min(self.run.scaled(DEPTH_EVENTS, 200), goal // 4)
        with server_on(self.run.options, self.data) as target:
            if self.accept_path is None:
                self._prepare(target)
            left = goal - self.stored - 2 * events
            filled = self._deliver(target, left) if left > 0 else {}
            if self.middle is None:  # from here on an old message
                path = f"{target.url}/api/v1/app/{UID}-00000000/msg?limit=1&with_content=false"
                self.middle = json.loads(fetch(path, target.token))["data"][0]
            line = {"scenario": "depth", "fill_per_s": filled.get("e2e_per_s"), **self._accept(target, events),
                    **self._deliver(target, events), **undisturbed(lambda: lists(self.run, target, self.middle)),
                    "rss_mb": target.memory_mb("VmRSS"), "rss_peak_mb": target.memory_mb("VmHWM")}
        for key in ("lost", "unrecorded", "duplicated"):
            line[key] += filled.get(key, 0)
        self.first = self.first or line
        line |= {"stored": self.stored, "attempts": self.attempts, "disk_mb": disk_mb(self.data)}
        for kind in ("accept", "e2e"):
            line[f"{kind}_to_first_depth"] = round(line[f"{kind}_per_s"] / max(1, self.first[f"{kind}_per_s"]), 3)
        return line


def depth(run):
    with data_folder(run.options) as data:
        store = Depth(run, data)
        for goal in DEPTHS:
            goal = run.scaled(goal, 1000)
            note(f"{goal} stored messages")
            yield store.measure(goal)
        if run.options.full:
            goal = run.scaled(DEPTH_FULL, 10_000)
            note(f"{goal} attempts")
            repeated = store.repeat(goal)
            yield store.measure(store.stored) | repeated


# --- magpie -----------------------------------------------------------------------------------------


def magpie(run):
    """Users without a password, made over the API of the magpie surface; two hooks are told of each."""
    hooks = [{"name": name, "action": "create_user", "method": "POST", "url": f"{run.receiver.url}/{name}",
              "payload": {"event": "created", "user": "{{user.name}}", "callback_url": "{{callback_url}}"}}
             for name in ("first", "second")]
    run.receiver.reset()
    with data_folder(run.options) as data:
        path = pathlib.Path(data, "hooks.json")
        path.write_text(json.dumps({"webhooks": hooks}))
        with server_on(run.options, data, [RETRIES, f"magpie.config_path={path}"]) as target:
            made = subprocess.run([run.options.posthorn, "token", "create", "--data", data, "--surface", "magpie",
                                   "--user", "bench"], capture_output=True, text=True, timeout=20)
            cpu_s = target.cpu_s()
            result = load(run.options, ["--url", target.url, "--token", made.stdout.strip(), "--make", "users",
                                        "--uid", "user", "--events", str(run.scaled(MAGPIE_USERS, 100))])
            expected = len(hooks) * result["accepted"]
            received, recorded, end_us = wait_for_hooks(run, target, expected)
            yield {"scenario": "magpie", "events": result["events"], "accepted": result["accepted"],
                   "accept_per_s": result["per_s"], "accept_p99_ms": result["p99_ms"], "deliveries": received,
                   "users_per_s": rate_of(result["accepted"], result["start_us"], end_us),
                   "users_per_s_asked": MAGPIE_ASKED, "cpu_s": round(target.cpu_s() - cpu_s, 2),
                   "rss_peak_mb": target.memory_mb("VmHWM"), "lost": max(0, expected - received),
                   "unrecorded": max(0, expected - recorded)} | troubles(result)


def wait_for_hooks(run, target, expected):
    """Their requests have no id: they are counted. How many came, were recorded, and when."""
    last, last_us = None, now_us()
    while True:
        now = run.receiver.stats()["received"], target.recorded_metric() or 0
        if now != last:
            last, last_us = now, now_us()
        if min(now) >= expected or now_us() - last_us > NO_PROGRESS_S * 1_000_000:
            return *now, last_us
        time.sleep(POLL_S)


SCENARIOS = {"slow": slow, "backlog": backlog, "restart": restart, "endpoints": endpoints, "upkeep": upkeep,
             "depth": depth, "magpie": magpie}
