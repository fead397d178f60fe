# SPDX-License-Identifier: Apache-2.0
"""What a scraper gets: valid text, names that stay, numbers that move with what happens, and what
an idle server costs."""

import re
import socket
import threading
import time

import httpx
import pytest
from harness import prometheus
from harness.api import unique
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SANITIZED, SLOWNESS, net, quickest, wait_for

# Dashboards and alerts are built on these: a name or a type that changes breaks them silently.
COUNTERS = {
    "posthorn_messages_accepted_total",
    "posthorn_messages_refused_busy_total",
    "posthorn_deliveries_created_total",
    "posthorn_deliveries_succeeded_total",
    "posthorn_deliveries_failed_total",
    "posthorn_deliveries_cancelled_total",
    "posthorn_attempts_recorded_total",
    "posthorn_attempts_succeeded_total",
    "posthorn_attempts_failed_total",
    "posthorn_attempts_blocked_total",
    "posthorn_endpoints_disabled_total",
    "posthorn_http_requests_total",
    "posthorn_http_requests_4xx_total",
    "posthorn_http_requests_5xx_total",
    "posthorn_http_requests_not_built_total",
    "posthorn_http_connections_refused_total",
    "posthorn_store_commits_total",
    "posthorn_store_rollbacks_total",
    "posthorn_window_pages_total",
    "posthorn_inbox_overflows_total",
    "posthorn_retention_rows_total",
    "posthorn_dns_lookups_total",
    "posthorn_dns_failures_total",
}
GAUGES = {
    "posthorn_http_connections",
    "posthorn_writer_queue",
    "posthorn_window_deliveries",
    "posthorn_window_bytes",
    "posthorn_in_flight",
    "posthorn_unrecorded_attempts",
    "posthorn_lanes",
    "posthorn_snapshot_endpoints",
    "posthorn_wal_bytes",
    "posthorn_breakers_open",
    "posthorn_inbox_deliveries",
    "posthorn_dns_queue",
    "posthorn_backlog_deliveries",
    "posthorn_backlog_oldest_due_seconds",
    "posthorn_uptime_seconds",
    "posthorn_build_info",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
HISTOGRAMS = {
    "posthorn_accept_seconds",
    "posthorn_commit_seconds",
    "posthorn_attempt_seconds",
    "posthorn_delivery_delay_seconds",
    "posthorn_batch_jobs",
    "posthorn_checkpoint_seconds",
    "posthorn_dns_seconds",
}


class Scraper:
    """Reads /metrics on one connection of its own, so that its own requests can be counted."""

    def __init__(self, server):
        self._url = server.url + "/metrics"
        self._http = httpx.Client(timeout=net(30), trust_env=False)
        self.before = None

    def __enter__(self):
        self.before = self.scrape()
        return self

    def __exit__(self, *_):
        self._http.close()

    def get(self):
        return self._http.get(self._url)

    def scrape(self):
        return prometheus.parse(self.get().text)

    def value(self, name):
        return self.scrape().value("posthorn_" + name)

    def delta(self, name):
        return self.value(name) - self.before.value("posthorn_" + name)

    def settle(self):
        """Begin when nothing is under way any more: what earlier tests sent is not counted as this one's."""

        def rests():
            self.before = now = self.scrape()
            count = lambda name: now.value(f"posthorn_{name}")  # noqa: E731
            ended = sum(count(f"deliveries_{how}_total") for how in ("succeeded", "failed", "cancelled"))
            busy = ("in_flight", "unrecorded_attempts", "writer_queue", "window_deliveries", "inbox_deliveries")
            return ended == count("deliveries_created_total") and not any(map(count, busy))

        wait_for(rests, 10, "all deliveries to be at their end")

    def moved(self, **wanted):
        """Wait until each counter has moved by exactly so much since the beginning."""

        def deltas():
            now = self.scrape()
            return {
                n: now.value("posthorn_" + n) - self.before.value("posthorn_" + n) for n in wanted
            }

        wait_for(lambda: deltas() == wanted, 10, lambda: f"{wanted}; moved by {deltas()}")

    def reaches(self, **wanted):
        """Wait until each gauge has exactly this value."""

        def values():
            now = self.scrape()
            return {name: now.value("posthorn_" + name) for name in wanted}

        wait_for(lambda: values() == wanted, 10, lambda: f"{wanted}; they are {values()}")


@pytest.fixture
def scraper(server):
    with Scraper(server) as running:
        running.settle()
        yield running


# ---- the text ----


def families(text):
    """[(name, its lines)] in order; each family must be HELP, TYPE and samples in one piece."""
    found = []
    lines = text.splitlines()
    position = 0
    while position < len(lines):
        help_line = re.fullmatch(r"# HELP (\S+) (\S.*)", lines[position])
        assert help_line, f"line {position + 1} is no HELP: {lines[position]!r}"
        name = help_line.group(1)
        kind = re.fullmatch(rf"# TYPE {name} (counter|gauge|histogram)", lines[position + 1])
        assert kind, f"line {position + 2} is no TYPE of {name}: {lines[position + 1]!r}"
        end = position + 2
        while end < len(lines) and not lines[end].startswith("#"):
            sample = re.split(r"[{ ]", lines[end], maxsplit=1)[0]
            suffixes = ["_bucket", "_sum", "_count"] if kind.group(1) == "histogram" else [""]
            assert sample in [name + suffix for suffix in suffixes], lines[end]
            end += 1
        assert end > position + 2, f"{name} has no sample"
        found.append((name, lines[position:end]))
        position = end
    return found


@pytest.mark.smoke
def test_the_text_is_valid(server, api, app, receiver, path, scraper):
    endpoint = api.new_endpoint(app, receiver.url(path))
    api.wait_final(app, api.send(app), endpoint)
    response = scraper.get()
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = response.text
    prometheus.parse(text)
    assert "\r" not in text and text.endswith("\n") and "\n\n" not in text
    names = [name for name, _ in families(text)]
    assert len(set(names)) == len(names), "a family occurs twice"
    assert {name for name in names if not re.fullmatch(r"(posthorn|process)_[a-z0-9_]+", name)} == set()


def test_the_reader_refuses_what_a_scraper_would():
    """The instrument itself: each of these texts is broken in one way."""
    good = "# HELP a A\n# TYPE a histogram\n"
    buckets = 'a_bucket{le="1"} 2\na_bucket{le="+Inf"} 3\n'
    prometheus.parse(good + buckets + "a_sum 1\na_count 3\n")
    families(good + buckets + "a_sum 1\na_count 3\n")
    for text in [
        good + buckets + "a_sum 1\na_count 4\n",
        good + buckets + "a_count 3\n",
        good + 'a_bucket{le="1"} 4\na_bucket{le="+Inf"} 3\na_sum 1\na_count 3\n',
        good + 'a_bucket{le="1"} 3\na_sum 1\na_count 3\n',
        "b 1\n",
        "# TYPE b counter\nb -1\n",
        "# TYPE b counter\nb 1\nb 1\n",
        "# TYPE b gauge\nb 1",
    ]:
        with pytest.raises(ValueError):
            prometheus.parse(text)
    twice = "# HELP b B\n# TYPE b gauge\nb 1\n"
    for text in ["# TYPE b gauge\nb 1\n", "# HELP b B\nb 1\n", twice + "c 1\n"]:
        with pytest.raises(AssertionError):
            families(text)


@pytest.mark.smoke
def test_the_names_that_users_build_on(scraper):
    metrics = scraper.scrape()
    kinds = {"counter": COUNTERS, "gauge": GAUGES, "histogram": HISTOGRAMS}
    for kind, names in kinds.items():
        here = {name for name, its_kind in metrics.types.items() if its_kind == kind}
        assert names <= here, f"missing among the {kind}s: {names - here}"
        # What is new has to follow the rules of naming.
        for name in here:
            assert name.endswith("_total") == (kind == "counter"), name
            assert len(metrics.helps[name]) > 10, f"{name} is not explained"


@pytest.mark.smoke
def test_no_token_is_needed_and_other_methods_are_refused(server):
    with httpx.Client(trust_env=False, timeout=net(5)) as client:
        assert client.get(server.url + "/metrics").status_code == 200
        assert client.post(server.url + "/metrics").status_code == 405


def test_counters_start_at_zero():
    with Server() as server, Scraper(server) as scraper:
        for name in COUNTERS - {"posthorn_http_requests_total"}:
            if not name.startswith("posthorn_store_"):
                assert scraper.before.value(name) == 0, name


def test_nothing_secret_or_personal_is_in_it(server, api, receiver, path, scraper):
    """No labels by tenant but the ids of ten at most, those whose backlog is the oldest: metrics go to people who may
    not see tenants, and must stay few."""
    app = api.new_app(name="Miller & Sons", uid=unique("miller"))
    endpoint = api.new_endpoint(app, receiver.url(path + "?key=hunter2"))
    api.wait_final(app, api.send(app, {"who": "Jane Miller"}), endpoint)

    def lines():
        return [s for s in scraper.get().text.splitlines() if "posthorn_backlog_application_" not in s]

    for word in ("iller", "hunter2", app["id"], endpoint["id"], receiver.base, api.token):
        assert word not in "\n".join(lines())
        assert word == app["id"] or word not in scraper.get().text
    before = len(lines())
    for _ in range(20):
        api.new_endpoint(api.new_app(), receiver.url(path))
    assert len(lines()) == before


# ---- counters ----


@pytest.mark.smoke
def test_accepted_messages_are_counted(api, app, receiver, path, scraper):
    for number in range(2):
        api.new_endpoint(app, receiver.url(f"{path}/{number}"))
    for _ in range(5):
        api.send(app)
    scraper.moved(messages_accepted_total=5, deliveries_created_total=10, accept_seconds_count=5)
    # A repetition, a refusal and a message that nobody wants.
    headers = {"Idempotency-Key": unique("key")}
    for _ in range(3):
        api.ok(
            "POST", f"/app/{app['id']}/msg", {"eventType": "a", "payload": {}}, 202, headers=headers
        )
    assert api.post(f"/app/{app['id']}/msg", {"eventType": "a"}).status_code == 422
    api.send(api.new_app())
    scraper.moved(messages_accepted_total=7, deliveries_created_total=12, accept_seconds_count=7)


@pytest.mark.smoke
def test_deliveries_are_counted_by_outcome(api, app, receiver, path, scraper):
    """Of four messages two succeed at once, one at the second attempt, one in none of three."""
    receiver.script(path, Reply(200), Reply(200), Reply(500), Reply(200), Reply(500))
    endpoint = api.new_endpoint(app, receiver.url(path))
    for _ in range(4):
        api.wait_final(app, api.send(app), endpoint)
    scraper.moved(
        deliveries_created_total=4,
        deliveries_succeeded_total=3,
        deliveries_failed_total=1,
        deliveries_cancelled_total=0,
        attempts_recorded_total=7,
        attempts_succeeded_total=3,
        attempts_failed_total=4,
        attempts_blocked_total=0,
        attempt_seconds_count=7,
        delivery_delay_seconds_count=4,
    )


@pytest.mark.smoke
def test_a_resend_is_an_attempt_and_no_delivery(api, app, receiver, path, scraper):
    endpoint = api.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    api.wait_final(app, message, endpoint)
    url = f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend"
    assert api.post(url).status_code == 202
    api.wait_attempts(app, message, 2)
    scraper.moved(
        attempts_recorded_total=2, deliveries_created_total=1, deliveries_succeeded_total=1
    )


@pytest.mark.smoke
def test_an_endpoint_that_is_gone(api, app, receiver, path, scraper):
    receiver.script(path, Reply(410))
    endpoint = api.new_endpoint(app, receiver.url(path))
    api.wait_attempts(app, api.send(app))
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}"
    wait_for(lambda: api.ok("GET", url)["disabled"], 5, "the endpoint to be disabled")
    scraper.moved(endpoints_disabled_total=1, attempts_failed_total=1)
    # Disabled by its owner: that is not the server's doing.
    other = api.new_endpoint(app, receiver.url(path + "-other"))
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{other['id']}", {"disabled": True})
    scraper.moved(endpoints_disabled_total=1)


@pytest.mark.smoke
def test_cancelled_deliveries_are_counted(receiver, path):
    with Server({"retry_schedule": "300"}) as server, Scraper(server) as scraper:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))
        for _ in range(3):
            api.wait_attempts(app, api.send(app))
        api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": True})
        scraper.moved(deliveries_cancelled_total=3, deliveries_failed_total=0)


@pytest.mark.smoke
def test_blocked_attempts_are_counted():
    with Server({"retry_schedule": "", "allow_subnets": ""}) as server, Scraper(server) as scraper:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, "http://127.0.0.1:9/")
        api.wait_final(app, api.send(app), endpoint)
        scraper.moved(attempts_blocked_total=1, attempts_failed_total=1, deliveries_failed_total=1)


@pytest.mark.smoke
def test_requests_are_counted(server, api, scraper):
    for _ in range(3):
        assert api.get("/app").status_code == 200
    for _ in range(2):
        assert api.get("/app/nobody").status_code == 404
    assert server.api("").get("/app").status_code == 401
    assert api.get("/connector").status_code == 501
    now, before = scraper.scrape(), scraper.before
    moved = {
        name: now.value(f"posthorn_http_requests{name}_total")
        - before.value(f"posthorn_http_requests{name}_total")
        for name in ("", "_4xx", "_5xx", "_not_built")
    }
    # The first scrape was counted after it had been written.
    assert moved == {"": 8, "_4xx": 3, "_5xx": 0, "_not_built": 1}


@pytest.mark.smoke
def test_commits_and_batches_agree(api, app, scraper):
    for _ in range(10):
        api.send(app)
    scraper.moved(messages_accepted_total=10)

    def agrees():
        now = scraper.scrape()
        commits = now.value("posthorn_store_commits_total")
        counts = [now.value(f"posthorn_{n}_count") for n in ("commit_seconds", "batch_jobs")]
        return counts == [commits, commits] and now.value("posthorn_batch_jobs_sum") >= commits

    wait_for(agrees, 5, "as many batches and commit times as commits")
    assert 1 <= scraper.delta("store_commits_total") <= 20
    assert scraper.delta("store_rollbacks_total") == 0


@pytest.mark.smoke
def test_times_are_seconds(api, app, receiver, path, scraper):
    """An answer that takes 0.3 s is in a bucket around that, and in the sum."""
    receiver.script(path, Reply(200, delay=0.3))
    endpoint = api.new_endpoint(app, receiver.url(path))
    api.wait_final(app, api.send(app), endpoint)
    scraper.moved(attempt_seconds_count=1)
    assert 0.29 <= scraper.delta("attempt_seconds_sum") <= 30, "it is in seconds"
    now = scraper.scrape()
    below = above = 0
    for (name, labels), value in now.samples.items():
        if name == "posthorn_attempt_seconds_bucket":
            grown = value - scraper.before.samples[(name, labels)]
            bound = float(dict(labels)["le"])
            below += grown if bound <= 0.27 else 0
            above += grown if bound >= 5 else 0
    assert below == 0 and above > 0
    assert 0 < scraper.delta("accept_seconds_sum") < 20


# ---- gauges ----


@pytest.mark.smoke
def test_what_is_in_flight_is_shown(receiver, path):
    gate = threading.Event()
    with Server({"max_in_flight": "4"}) as server, Scraper(server) as scraper:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(200, hold=gate))
        endpoint = api.new_endpoint(app, receiver.url(path))
        messages = [api.send(app, {"pad": "x" * 1000}) for _ in range(10)]
        scraper.reaches(in_flight=4, lanes=1, unrecorded_attempts=0)
        assert 4 <= scraper.value("window_deliveries") <= 10
        assert 4000 <= scraper.value("window_bytes") <= 10 * 1100
        gate.set()
        for message in messages:
            api.wait_final(app, message, endpoint)
        scraper.reaches(in_flight=0, window_deliveries=0, window_bytes=0, unrecorded_attempts=0)
        scraper.reaches(writer_queue=0)


@pytest.mark.smoke
def test_connections_are_shown_and_refused(receiver):
    with Server({"http.connections_max": "10"}) as server, Scraper(server) as scraper:
        before = scraper.before.value("posthorn_http_connections")
        assert before == 1, "the scraper's own"
        host, port = server.url.split("://")[1].split(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(5)]
        scraper.reaches(http_connections=6)
        clients += [socket.create_connection((host, int(port))) for _ in range(8)]
        scraper.moved(http_connections_refused_total=4)
        scraper.reaches(http_connections=10)
        for client in clients:
            client.close()
        scraper.reaches(http_connections=1)


def test_the_log_of_the_store_is_shown():
    with Server() as server, Scraper(server) as scraper:
        api = server.api()
        app = api.new_app()
        for _ in range(20):
            api.send(app, {"pad": "x" * 10000})
        wait_for(lambda: scraper.value("wal_bytes") > 100000, 5, "the size of the write-ahead log")
        assert scraper.value("wal_bytes") <= (server.data / "posthorn.db-wal").stat().st_size


def test_the_log_of_the_store_stays_small():
    """What was written moves from the log into the store's file; the log is then used again."""
    with Server() as server:
        api = server.api()
        app = api.new_app()
        store, log = server.data / "posthorn.db", server.data / "posthorn.db-wal"
        pad = "x" * 500000

        def moved():
            api.send(app, {"pad": pad})
            return store.stat().st_size > 16 << 20

        wait_for(moved, 20, lambda: f"a checkpoint; the log has {log.stat().st_size} bytes", 0.02)
        # Twice as much again goes into the same log.
        size = log.stat().st_size
        for _ in range(2 * size // len(pad)):
            api.send(app, {"pad": pad})
        assert log.stat().st_size < 2 * size + (32 << 20)


# ---- under load ----


@pytest.mark.smoke
def test_the_backlog_is_counted(receiver, path):
    """In all, and for the ten applications that wait the longest, the worst first."""
    with Server({"retry_schedule": "600", "max_in_flight": "1"}) as server, Scraper(server) as scraper:
        api = server.api()
        hold = threading.Event()
        receiver.script(path, Reply(200, hold=hold))
        apps = []
        for _ in range(12):
            app = api.new_app()
            api.new_endpoint(app, receiver.url(path))
            for _ in range(3):
                api.send(app)
            apps.append(app["id"])

        def backlog(name):
            return {
                dict(labels)["application"]: value
                for (key, labels), value in scraper.scrape().samples.items()
                if key == "posthorn_backlog_application_" + name
            }

        try:
            scraper.reaches(backlog_deliveries=36)
            assert backlog("deliveries") == {app: 3 for app in apps[:10]}
            wait_for(lambda: scraper.value("backlog_oldest_due_seconds") >= 1, 15, "the age grows")

            def agrees():
                now = scraper.scrape()
                name = "posthorn_backlog_application_oldest_due_seconds"
                oldest = max(value for (key, _), value in now.samples.items() if key == name)
                return oldest == now.value("posthorn_backlog_oldest_due_seconds")

            wait_for(agrees, 15, "the oldest one of all to be one of theirs")
        finally:
            hold.set()
        scraper.reaches(backlog_deliveries=0)
        # What failed waits for its retry: it is pending and not due.
        receiver.script(path + "-broken", Reply(500))
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path + "-broken"))
        api.wait_attempts(app, api.send(app))
        wait_for(lambda: backlog("deliveries") == {app["id"]: 1}, 15, lambda: backlog("deliveries"))
        scraper.reaches(backlog_oldest_due_seconds=0)


@pytest.mark.smoke
def test_look_ups_of_names_are_counted(api, app, receiver, path, scraper):
    endpoints = [
        api.new_endpoint(app, receiver.url(path).replace("127.0.0.1", host))
        for host in ("localhost", "no-such-host.invalid")
    ]
    message = api.send(app)
    for endpoint in endpoints:
        api.wait_final(app, message, endpoint)
    wait_for(lambda: scraper.delta("dns_failures_total") >= 1, 10, "a failed look-up")

    def agrees():
        now = scraper.scrape()
        lookups, times = (now.value(f"posthorn_dns_{name}") for name in ("lookups_total", "seconds_count"))
        return lookups == times and now.value("posthorn_dns_queue") == 0

    wait_for(agrees, 10, "as many times as look-ups")


@pytest.mark.smoke
def test_the_process_is_shown(server, scraper):
    metrics = scraper.scrape()
    assert metrics.value("process_resident_memory_bytes") == pytest.approx(server.rss_bytes(), rel=0.2)
    assert 10 < metrics.value("process_open_fds") < metrics.value("process_max_fds")
    assert 0 <= time.time() - metrics.value("process_start_time_seconds") < 3600
    assert 0 <= metrics.value("posthorn_uptime_seconds") < 3600
    labels = [dict(labels) for (name, labels) in metrics.samples if name == "posthorn_build_info"]
    assert len(labels) == 1 and re.fullmatch(r"\d+\.\d+\.\d+\S*", labels[0]["version"])


def test_it_stays_valid_under_load(receiver, path):
    """Four clients send while four scrape: each text is valid, and no counter ever goes back."""
    with Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        stop, wrong, scrapes, sent = threading.Event(), [], [], []

        def send():
            client = server.api()
            while not stop.is_set():
                sent.append(client.send(app)["id"])

        def scrape():
            last = None
            with Scraper(server) as scraper:
                while not stop.is_set():
                    now = scraper.scrape()
                    for key in last.samples if last else []:
                        if key[0] in COUNTERS and now.samples[key] < last.samples[key]:
                            wrong.append(
                                f"{key} went from {last.samples[key]} to {now.samples[key]}"
                            )
                    last = now
                    scrapes.append(now)

        def guarded(work):
            try:
                work()
            except Exception as error:
                wrong.append(repr(error))
                stop.set()

        threads = [threading.Thread(target=guarded, args=(w,)) for w in (send, scrape) * 4]
        for thread in threads:
            thread.start()
        try:
            enough = lambda: len(scrapes) > 100 and len(sent) > 300  # noqa: E731
            wait_for(lambda: stop.is_set() or enough(), 60, "100 scrapes beside 300 messages")
        finally:
            stop.set()
            for thread in threads:
                thread.join(net(30))
        assert wrong == []
        with Scraper(server) as scraper:
            scraper.reaches(messages_accepted_total=len(sent), in_flight=0, writer_queue=0)
            scraper.reaches(deliveries_succeeded_total=len(sent))


# ---- an idle server ----


def processor_seconds(pid):
    """Time of all threads in nanoseconds' resolution: the ticks in /proc miss short bursts. The
    number is the kernel's name for the clock of another process (CPUCLOCK_SCHED)."""
    return time.clock_gettime((~pid << 3) | 2)


def rests(server, seconds=5.0):
    """The share of a core that the process used over so many seconds of measuring."""
    start, used = time.monotonic(), processor_seconds(server.pid)
    wait_for(lambda: time.monotonic() >= start + seconds, seconds + 5, "the time to pass", step=0.2)
    return (processor_seconds(server.pid) - used) / (time.monotonic() - start)


def costs_nothing(server, tell):
    # The least of some: another process's work can make the same work cost more.
    share = quickest(lambda: rests(server) * SLOWNESS, 0.005)
    resident = server.rss_bytes()
    tell(f"idle: {share:.3%} of a core, {resident / 1e6:.1f} MB resident")
    assert share < 0.005, f"an idle server uses {share:.2%} of a core"
    if not SANITIZED:
        assert resident < 20_000_000, f"an idle server holds {resident} bytes"


@pytest.mark.measure
def test_a_new_server_costs_next_to_nothing(tell):
    with Server() as server:
        assert server.api().get("/health/ping").status_code == 204
        costs_nothing(server, tell)


@pytest.mark.measure
def test_a_server_that_waits_costs_next_to_nothing(receiver, path, tell):
    """After work, with clients that stay connected and retries that are due much later."""
    with Server({"retry_schedule": "600,600"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoints = [api.new_endpoint(app, receiver.url(f"{path}{end}")) for end in ("", "/good")]
        for _ in range(100):
            message = api.send(app)
        api.wait_final(app, message, endpoints[1])
        with Scraper(server) as scraper:
            scraper.reaches(attempts_recorded_total=200, in_flight=0, unrecorded_attempts=0)
            costs_nothing(server, tell)
