# SPDX-License-Identifier: Apache-2.0
"""`posthorn tail`: what it prints, how it comes back, and how it ends."""

import json
import re
import signal
import subprocess
import threading

import httpx
import pytest
from harness.api import unique
from harness.cli import is_failure, is_usage_error, try_run
from harness.receiver import Reply
from harness.server import BIN, Server, clean_environment
from harness.tls import Authority
from harness.wait import net, wait_for

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
MESSAGE = re.compile(rf"^{TIME} message (\S+) (msg_\w{{27}}) (\S.*)$")
ATTEMPT = re.compile(
    rf"^{TIME} attempt (\S+) (msg_\w{{27}}) (ep_\w{{27}}) (success|fail) (\d+) (\d+) ms( by hand)?( .*)?$"
)


class Tail:
    """A running `posthorn tail` with what it has printed so far."""

    def __init__(self, *words, env=None):
        self.lines = []
        self.errors = []
        self.process = subprocess.Popen(
            [BIN, "tail", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(env),
        )
        self._threads = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait(self, count, timeout=15):
        """The lines, as soon as there are at least `count`."""
        wait_for(lambda: len(self.lines) >= count, timeout, lambda: f"{count} lines; {self.lines[-3:]}, {self.errors}")
        return list(self.lines)

    def wait_end(self):
        code = self.process.wait(net(15))
        for thread in self._threads:
            thread.join(net(5))
        return code

    def end(self, number=signal.SIGINT):
        """A signal ends it at once and with 0."""
        self.process.send_signal(number)
        assert self.wait_end() == 0, self.errors
        return self.lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.wait_end()
        self.process.stdout.close()
        self.process.stderr.close()


def open_streams(server):
    """How many streams the server has."""
    text = httpx.get(server.url + "/metrics", trust_env=False, timeout=net(5)).text
    return int(re.search(r"^posthorn_http_streams (\d+)$", text, re.MULTILINE).group(1))


@pytest.fixture
def tail(server, app):
    """Starts a tail of the test's application that has connected."""
    tails = []

    def are_connected():
        return open_streams(server) == sum(one.process.poll() is None for one in tails)

    def start(*words):
        one = Tail("--data", server.data, "--app", app["id"], *words)
        tails.append(one)
        wait_for(are_connected, 10, lambda: f"the tail to connect; {one.errors}")
        return one

    yield start
    for one in tails:
        one.__exit__()
    wait_for(are_connected, 10, "the streams to end")


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_line_for_each(api, app, receiver, path, tail, number):
    receiver.script(path, Reply(503), Reply(204))
    endpoint = api.new_endpoint(app, receiver.url(path))
    one = tail()
    messages = [api.send(app, event_type=f"run.{n}") for n in range(3)]
    one.wait(7)
    api.ok("POST", f"/app/{app['id']}/msg/{messages[0]['id']}/endpoint/{endpoint['id']}/resend", status=202)
    one.wait(8)
    lines = one.end(number)
    assert one.errors == []
    told = [match.groups() for match in map(MESSAGE.match, lines) if match]
    assert told == [(f"run.{n}", message["id"], '{"n": 1}') for n, message in enumerate(messages)]
    attempts = [match.groups() for match in map(ATTEMPT.match, lines) if match]
    assert len(attempts) + len(told) == len(lines) == 8
    assert {attempt[2] for attempt in attempts} == {endpoint["id"]}
    assert sorted(attempt[3:5] for attempt in attempts) == [("fail", "503")] + 4 * [("success", "204")]
    assert [attempt[1] for attempt in attempts if attempt[6]] == [messages[0]["id"]]


def test_the_beginning_of_what_is_in_it(api, app, receiver, path, tail):
    """Enough to tell one from the other; nothing of it reaches the terminal but text."""
    receiver.script(path, Reply(503, body=b"no \x1b[31mroom\nhere" + b"!" * 300), Reply(200, body=b"thanks"))
    api.new_endpoint(app, receiver.url(path))
    short = tail()
    full = tail("--with-content")
    payload = '{"a":\n  "\u009b\u202e\x7f", "text": "' + "x" * 200 + '"}'
    message = api.send_text(app, payload.encode())
    lines = short.wait(3)
    assert MESSAGE.match(lines[0]).groups()[1:] == (
        message["id"],
        (r'{"a": "\u009b\u202e\x7f", "text": "' + "x" * 200)[:100] + "…",
    )
    failed, fine = [ATTEMPT.match(line).groups() for line in lines[1:]]
    assert failed[3:5] == ("fail", "503") and failed[7].startswith(r' "no \u001b[31mroom\nhere!!!')
    assert failed[7].endswith("!…") and len(failed[7]) == 102
    assert fine[3] == "success" and fine[7] is None
    lines = full.wait(3)
    assert MESSAGE.match(lines[0]).group(3).endswith("x" * 200 + '"}')
    assert ATTEMPT.match(lines[1]).group(8).endswith('!"')


def test_json(api, app, receiver, path, tail):
    receiver.script(path, Reply(200, body=b"thanks"))
    api.new_endpoint(app, receiver.url(path))
    plain = tail("--json")
    full = tail("--json", "--with-content")
    message = api.send(app, {"n": 7})
    first, second = (json.loads(line) for line in plain.wait(2))
    assert first["id"] == message["id"] and first["payload"] == {}
    assert second["msgId"] == message["id"] and second["response"] == "{}" and second["eventType"] == "test.event"
    first, second = (json.loads(line) for line in full.wait(2))
    assert first["payload"] == {"n": 7} and second["response"] == "thanks"


def test_what_is_wanted(api, app, receiver, path, tail):
    uid = unique("uid")
    api.new_endpoint(app, receiver.url(path), uid=uid)
    api.new_endpoint(app, receiver.url(path + "-other"))
    start = api.send(app, event_type="a")
    api.wait_attempts(app, start, 2)
    of_type = tail("--event-type", "b,c", "--count", 4)
    of_endpoint = tail("--endpoint", uid, "--count", 3)
    messages = [api.send(app, event_type=name) for name in "abc"]
    assert of_type.wait_end() == 0 and of_endpoint.wait_end() == 0
    assert {line.split()[2] for line in of_type.lines} <= {"b", "c"} and len(of_type.lines) == 4
    assert all(ATTEMPT.match(line) for line in of_endpoint.lines) and len(of_endpoint.lines) == 3
    assert {line.split()[3] for line in of_endpoint.lines} == {message["id"] for message in messages}
    since = tail("--since", start["id"])
    lines = since.wait(9)
    told = [match.group(2) for match in map(MESSAGE.match, lines) if match]
    assert told == [message["id"] for message in messages]


def test_whose_it_is_when_nobody_says():
    with Server() as server:
        api = server.api()
        is_failure(try_run("tail", data=server.data), "--app")
        app = api.new_app()
        message = api.send(app)
        since = ("--since", message["id"], "--count", "1")
        with Tail("--data", server.data, *since) as only:
            later = api.send(app)
            assert later["id"] in only.wait(1)[0]
            assert only.wait_end() == 0
        other = api.new_app()
        is_failure(try_run("tail", data=server.data), "--app")
        own = {"POSTHORN_TOKEN": server.app_token(app["id"]), "POSTHORN_URL": server.url}
        with Tail(*since, env=own) as by_token:
            assert later["id"] in by_token.wait(1)[0]
        done = try_run("tail", "--app", other["id"], env=own)
        is_failure(done, "404")


def test_it_comes_back_where_it_was(receiver, path):
    with Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        with Tail("--data", server.data, "--app", app["id"]) as tail:
            wait_for(lambda: open_streams(server) == 1, 10)
            messages = [api.send(app) for _ in range(50)]
            tail.wait(100)
            server.kill()
            wait_for(lambda: tail.errors, 10, "words about the connection")
            assert "not connected" in tail.errors[0] and "trying again" in tail.errors[0]
            server.start()
            messages += [api.send(app) for _ in range(50)]
            tail.wait(200, 30)
            wait_for(lambda: len(tail.errors) >= 2, 10, "words about the connection")
            assert tail.errors[1:] == ["posthorn: connected again"]
            # A server that stops ends its streams in order; that is no news unless it stays away.
            server.restart()
            messages += [api.send(app)]
            lines = tail.wait(202, 30)
            tail.end()
        told = [match.group(2) for match in map(MESSAGE.match, lines) if match]
        assert told == [message["id"] for message in messages]
        attempts = [match.group(2) for match in map(ATTEMPT.match, lines) if match]
        assert sorted(attempts) == sorted(told)


def test_over_tls(tmp_path):
    pem = Authority(tmp_path).file("127.0.0.1")
    with Server({"tls_cert_file": pem, "tls_key_file": pem}) as server:
        headers = {"Authorization": f"Bearer {server.org_token}"}
        with httpx.Client(verify=False, trust_env=False, timeout=net(5), headers=headers) as client:
            app = client.post(f"{server.url}/api/v1/app", json={"name": "a"}).json()
            sent = [
                server.run("send", "--app", app["id"], "--type", "a", "--payload", "{}").stdout.strip()
                for _ in range(2)
            ]
        # The server of the data directory is known by its address, whatever its certificate says.
        with Tail("--data", server.data, "--since", sent[0], "--count", 1) as tail:
            assert sent[1] in tail.wait(1)[0]
            assert tail.wait_end() == 0
        # Another one has to prove itself.
        words = ("tail", "--url", server.url, "--token", server.org_token, "--app", app["id"])
        is_failure(try_run(*words), "certificate")


def test_what_ends_it(server, app, tmp_path, api):
    token = ("--url", server.url, "--token")
    is_failure(try_run("tail", "--app", app["id"], data=tmp_path), "no server runs")
    is_failure(try_run("tail", "--app", app["id"], *token, "nonsense"), "401")
    is_failure(try_run("tail", "--app", app["id"], *token, api.token, "--since", "x"), "422", "last-event-id")
    is_failure(try_run("tail", "--app", app["id"], *token, api.token, "--endpoint", "ep_none"), "404")
    is_failure(try_run("tail", "--app", app["id"], "--url", "http://127.0.0.1:1", "--token", "t"), "no answer")
    is_usage_error(try_run("tail", "--count", "0"), "--count")
    is_usage_error(try_run("tail", "more"), '"more"')
    gone = api.send(api.new_app())
    with Tail(*token, api.token, "--app", app["id"], "--since", gone["id"], "--count", 1) as tail:
        wait_for(lambda: tail.errors, 10)
        assert gone["id"] in tail.errors[0] and "may be missing" in tail.errors[0]
        api.send(app)
        assert tail.wait_end() == 0


def test_nobody_reads_what_it_prints(server, api, app):
    process = subprocess.Popen(
        [BIN, "tail", "--data", server.data, "--app", app["id"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    wait_for(lambda: open_streams(server) >= 1, 10)
    process.stdout.close()

    def has_ended():
        api.send(app)
        return process.poll() is not None

    wait_for(has_ended, 15, "its end")
    assert process.returncode == 1 and b"standard output" in process.stderr.read()
    process.stderr.close()
