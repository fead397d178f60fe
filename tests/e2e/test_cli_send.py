# SPDX-License-Identifier: Apache-2.0
"""`posthorn send`: one message, and many."""

import datetime
import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness.api import MSG_ID, unique
from harness.cli import Terminal, is_failure, is_usage_error, try_run
from harness.server import BIN, Server, clean_environment, run
from harness.wait import net, wait_for


@pytest.fixture
def inbox(api, app, receiver, path):
    """An application with an endpoint, and what came there for a message id."""
    api.new_endpoint(app, receiver.url(path))
    return lambda message: receiver.wait_message(message, path)[0].body


@pytest.mark.smoke
@pytest.mark.parametrize("way", ["--payload", "--file", "stdin"])
def test_send(server, app, inbox, tmp_path, way):
    text = '{"b": 1.10, "a": "\u00e9"}'
    words, text_in = [], None
    if way == "--payload":
        words = ["--payload", text]
    elif way == "--file":
        (tmp_path / "body.json").write_text(text)
        words = ["--file", str(tmp_path / "body.json")]
    else:
        text_in = text
    done = server.run("send", "--app", app["id"], "--event-type", "test.cli", *words, input=text_in)
    assert MSG_ID.match(done.stdout.strip()) and done.stdout.count("\n") == 1 and done.stderr == ""
    assert inbox(done.stdout.strip()) == text.encode()


@pytest.mark.smoke
def test_send_names_a_file(server, app, inbox, tmp_path):
    """--payload takes a file or - as well: what is no JSON names a file."""
    words = ["send", "--app", app["id"], "--event-type", "test.cli", "--payload"]
    (tmp_path / "body.json").write_text('{"from": "a file"}\n')
    sent = server.run(*words, str(tmp_path / "body.json")).stdout.strip()
    assert inbox(sent) == b'{"from": "a file"}'
    sent = server.run(*words, "-", input='{"from": "a pipe"}').stdout.strip()
    assert inbox(sent) == b'{"from": "a pipe"}'
    is_failure(server.run(*words, str(tmp_path / "none"), check=False), "neither JSON", "nor a file")
    (tmp_path / "bad").write_text("{")
    is_failure(server.run(*words, str(tmp_path / "bad"), check=False), "not JSON")


def test_send_says_all_of_a_message(server, api, receiver, path):
    app = api.new_app(uid=unique("uid"))
    api.new_endpoint(app, receiver.url(path), channels=["eu"])
    words = ["send", "--app", app["uid"], "--event-type", "test.cli", "--payload", '{"n": 1}', "--json"]
    words += ["--channel", "eu", "--channel", "us", "--tag", "a", "--tag", "b/c"]
    words += ["--ordering-key", "k", "--payload-retention-period", "3"]
    sent = json.loads(server.run(*words).stdout)
    receiver.wait_message(sent["id"], path)
    assert (sent["channels"], sent["tags"], sent["payload"]) == (["eu", "us"], ["a", "b/c"], {"n": 1})
    before = datetime.datetime.now(datetime.timezone.utc)
    later = json.loads(server.run(*words, "--deliver-at", "10m").stdout)
    delay = datetime.datetime.fromisoformat(later["deliverAt"].replace("Z", "+00:00")) - before
    assert datetime.timedelta(minutes=9) < delay < datetime.timedelta(minutes=11)
    moment = (before + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fixed = json.loads(server.run(*words, "--deliver-at", moment).stdout)
    assert fixed["deliverAt"][:19] + "Z" == moment


@pytest.mark.smoke
def test_send_elsewhere(server, app, inbox, tmp_path):
    """With --url and --token, or their variables, the data directory has no part in it."""
    words = ["send", "--app", app["id"], "--event-type", "t", "--payload", "{}"]
    given = ["--url", server.url, "--token", server.org_token]
    first = run(*words, *given, data=tmp_path / "none").stdout.strip()
    env = {"POSTHORN_URL": server.url, "POSTHORN_TOKEN": server.org_token}
    second = run(*words, data=tmp_path / "none", env=env).stdout.strip()
    assert first != second and inbox(first) == inbox(second) == b"{}"
    assert not (tmp_path / "none").exists()


@pytest.mark.smoke
def test_send_with_its_flags(server, api, app):
    words = ["send", "--app", app["id"], "--event-type", "t", "--payload", "{}"]
    given = ["--token", server.org_token, "--idempotency-key", unique("key")]
    ids = {server.run(*words, *given).stdout for _ in range(2)}
    assert len(ids) == 1
    answer = json.loads(server.run(*words, "--event-id", "one", "--json").stdout)
    assert answer["eventId"] == "one" and answer["eventType"] == "t"
    assert api.ok("GET", f"/app/{app['id']}/msg/one")["id"] == answer["id"]
    is_failure(server.run(*words, "--event-id", "one", check=False), "409", "conflict")


def test_a_key_of_send_holds_in_the_next_second(server, app):
    """Without --token the command makes its own each time; the key must hold all the same."""
    words = ["send", "--app", app["id"], "--event-type", "t", "--payload", "{}"]
    words += ["--idempotency-key", unique("key")]
    first, second = server.run(*words).stdout, int(time.time())
    wait_for(lambda: int(time.time()) > second, 5, "the next second")
    assert server.run(*words).stdout == first


@pytest.mark.smoke
def test_send_that_fails(server, app, data, tmp_path):
    words = ["send", "--event-type", "t", "--payload"]
    mine = ["--app", app["id"]]
    is_failure(server.run(*words, "[]", *mine, check=False), "422", "payload")
    is_failure(server.run(*words, '{"a":', *mine, check=False), "payload", "offset 5")
    is_failure(server.run(*words, "", *mine, check=False), "payload")
    is_failure(server.run(*words, "{}", "--app", "nobody", check=False), "404", "not_found")
    bad = server.run(*words, "{}", *mine, "--token", "x", check=False)
    is_failure(bad, "401")
    is_failure(try_run(*words, "{}", *mine, data=data), "no server", data)
    gone = try_run(*words, "{}", *mine, "--url", "http://127.0.0.1:1", data=data)
    is_failure(gone, "127.0.0.1")
    missing = server.run("send", "--event-type", "t", *mine, "--file", tmp_path / "none", check=False)
    is_failure(missing, tmp_path / "none")


@pytest.mark.smoke
@pytest.mark.parametrize(
    "words, said",
    [
        ([], "wants --app ID"),
        (["--event-type", "t"], "wants --app ID"),
        (["--app", "a"], "wants --event-type TYPE"),
        (["--app", "a", "--event-type", "t", "--deliver-at", "soon"], "--deliver-at"),
        (["--app", "a", "--event-type", "t", "--payload-retention-period", "91"], "1 to 90"),
        (["--app", "a", "--event-type", "t", "--idempotency-key", "a b"], "--idempotency-key"),
        (["--app", "a", "--event-type", "t", "--idempotency-key", "a\r\nb: c"], "--idempotency-key"),
        (["--app", "a", "--event-type", "t", "--idempotency-key", "k" * 201], "--idempotency-key"),
        (["--app", "a", "--batch", "0"], "--batch"),
        (["--app", "a", "--batch", "1001"], "1 to 1000"),
        (["--app", "a", "--batch", "many"], '"many"'),
        (["--app", "a", "--batch", "9", "--channel", "c"], "each line is a whole message"),
        (["--app", "a", "--batch", "9", "--event-type", "t", "--event-id", "c"], "one message"),
        (["--app", "a", "--batch", "9", "--event-type", "t", "--payload", "{}"], "one message"),
    ],
)
def test_send_used_badly(words, said, data):
    is_usage_error(try_run("send", *words, data=data, input="{}"), said)


def test_send_cannot_be_talked_into_another_message(server, api, app):
    """The payload is one JSON value: text behind it must not become fields of the message."""
    payload = '{"a": 1}, "eventId": "smuggled"'
    words = ["send", "--app", app["id"], "--event-type", "t", "--payload", payload]
    is_failure(server.run(*words, check=False))
    assert api.ok("GET", f"/app/{app['id']}/msg")["data"] == []


# ---- batches ----


def lines_of(*messages):
    return "".join(json.dumps(message) + "\n" for message in messages)


def payloads(api, app):
    """The payloads of an application's messages, oldest first."""
    rows, iterator, done = [], None, False
    while not done:
        params = {"limit": 250, **({"iterator": iterator} if iterator else {})}
        page = api.ok("GET", f"/app/{app['id']}/msg", params=params)
        rows += page["data"]
        iterator, done = page["iterator"], page["done"]
    return [row["payload"] for row in rows][::-1]


def batch(server, app, *words, **kwargs):
    kwargs.setdefault("timeout", 60)
    return server.run("send", "--app", app["id"], *words, **kwargs)


@pytest.mark.smoke
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_batch_of_payloads(server, api, app, size, tmp_path):
    wanted = [{"n": number} for number in range(7)]
    text = "\n" + lines_of(*wanted[:3]) + "  \n" + lines_of(*wanted[3:]).rstrip()  # no end of the last line
    words = ["--event-type", "test.cli", "--batch", str(size), "--channel", "c"]
    done = batch(server, app, *words, input=text)
    assert (done.stdout, done.stderr) == ("7 messages sent\n", "")
    (tmp_path / "lines").write_text(text.replace("\n", "\r\n"))
    assert batch(server, app, *words, "--file", str(tmp_path / "lines")).stdout == "7 messages sent\n"
    assert payloads(api, app) == wanted * 2
    assert api.ok("GET", f"/app/{app['id']}/msg", params={"channel": "c"})["data"]


def test_batch_of_whole_messages(server, api, app):
    text = lines_of(
        {"eventType": "a.b", "payload": {"n": 1}, "eventId": "one", "tags": ["t"]},
        {"eventType": "c.d", "payload": {"n": 2}, "channels": ["red"]},
    )
    assert batch(server, app, "--batch", "10", input=text).stdout == "2 messages sent\n"
    assert api.ok("GET", f"/app/{app['id']}/msg/one")["tags"] == ["t"]
    (row,) = api.ok("GET", f"/app/{app['id']}/msg", params={"channel": "red"})["data"]
    assert row["eventType"] == "c.d"


BAD_LINES = ['{"n": 1}', "{bad", "[]", '{"eventType": "x y", "payload": {}}', '{"eventType": "a", "payload": {"n": 2}}']


def test_lines_that_are_refused(server, api, app):
    done = batch(server, app, "--batch", "2", input="\n".join(BAD_LINES), check=False)
    assert (done.returncode, done.stdout) == (1, "1 messages sent, 4 lines refused\n")
    said = [line.removeprefix("posthorn: ") for line in done.stderr.splitlines()]
    assert [line.split(":")[0] for line in sorted(said)] == ["line 1", "line 2", "line 3", "line 4"]
    assert "422" in done.stderr and "event_type" in done.stderr and "offset 1" in done.stderr
    assert payloads(api, app) == [{"n": 2}]


def test_batch_as_json(server, api, app):
    done = batch(server, app, "--batch", "2", "--json", input="\n".join(BAD_LINES), check=False)
    assert done.returncode == 1 and done.stderr == ""
    rows = {row["line"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {line: row["status"] for line, row in rows.items()} == {1: 422, 2: 0, 3: 0, 4: 422, 5: 202}
    assert MSG_ID.match(rows[5]["id"]) and "offset" in rows[2]["error"]
    assert rows[4]["error"]["detail"][0]["loc"] == ["body", "event_type"]


def test_many_refused_lines_are_counted(server, app):
    done = batch(server, app, "--batch", "1000", input="x\n" * 5000, check=False)
    assert (done.returncode, done.stdout) == (1, "0 messages sent, 5000 lines refused\n")
    said = done.stderr.splitlines()
    assert len(said) == 21 and "the end says how many" in said[-1]


def test_large_lines_are_split_over_requests(server, api, app):
    """More than a request may hold in all; and more than a message may have, which is refused alone."""
    big = {"text": "x" * 1_000_000}
    text = lines_of(*[{**big, "n": number} for number in range(20)], {"text": "y" * 3_000_000}, {"n": 20})
    done = batch(server, app, "--event-type", "t", "--batch", "1000", input=text, check=False)
    assert done.stdout == "21 messages sent, 1 lines refused\n"
    assert re.fullmatch(r"posthorn: line 21: the server answered 413.*\n", done.stderr)
    rows = api.ok("GET", f"/app/{app['id']}/msg", params={"with_content": "false", "limit": 50})["data"]
    assert len(rows) == 21
    too_long = batch(server, app, "--event-type", "t", "--batch", "9", input="z" * 5_000_000, check=False)
    assert too_long.returncode == 1 and "line 1: more than" in too_long.stderr


class Fed:
    """A batch whose lines are given one by one."""

    def __init__(self, server, app, *words):
        command = [BIN, "send", "--app", app["id"], "--event-type", "t", *words, "--data", str(server.data)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean_environment(),
        )

    def feed(self, first, last):
        self.process.stdin.write(lines_of(*[{"n": number} for number in range(first, last)]))
        self.process.stdin.flush()

    def end(self):
        out, err = self.process.communicate(timeout=net(30))
        return self.process.returncode, out, err


@pytest.mark.parametrize("key", [None, "mine"])
def test_a_batch_goes_on_with_its_key(server, api, app, key, tmp_path):
    words = ["--batch", "5"] + (["--idempotency-key", unique(key)] if key else [])
    fed = Fed(server, app, *words)
    fed.feed(0, 12)
    wait_for(lambda: len(payloads(api, app)) == 10, 10, "two requests to be accepted")
    fed.process.send_signal(signal.SIGINT)
    code, out, err = fed.end()
    assert (code, out) == (1, "") and "behind line 10" in err
    given = re.search(r"--idempotency-key (\S+) goes on", err).group(1)
    assert given == words[-1] or key is None
    # All of it once more, and then some: what was accepted is not sent again.
    wanted = [{"n": number} for number in range(23)]
    again = ["--event-type", "t", "--batch", "5", "--idempotency-key", given]
    done = batch(server, app, *again, input=lines_of(*wanted))
    assert done.stdout == "23 messages sent\n" and payloads(api, app) == wanted
    assert batch(server, app, *again, input=lines_of(*wanted)).returncode == 0
    assert payloads(api, app) == wanted
    other = batch(server, app, "--event-type", "t", "--batch", "7", "--idempotency-key", given,
                  input=lines_of(*wanted), check=False)
    assert other.returncode == 1 and "another --batch" in other.stderr
    assert len(payloads(api, app)) == 23


def test_a_key_that_the_server_has_forgotten(server, app):
    done = batch(server, app, "--event-type", "t", "--batch", "5", "--idempotency-key", "cli.1700000000.00",
                 input="{}", check=False)
    is_failure(done, "older than 12 hours")


def test_a_batch_waits_for_its_server():
    with Server() as server:
        api = server.api()
        app = api.new_app()
        fed = Fed(server, app, "--batch", "5")
        fed.feed(0, 5)
        wait_for(lambda: len(payloads(api, app)) == 5, 10, "the first request to be accepted")
        server.kill()
        fed.feed(5, 12)
        fed.process.stdin.close()
        server.start()
        assert fed.process.wait(net(30)) == 0
        assert fed.process.stdout.read() == "12 messages sent\n" and fed.process.stderr.read() == ""
        assert payloads(server.api(), app) == [{"n": number} for number in range(12)]


def test_a_batch_without_a_server(server, app, data):
    words = ["send", "--app", "a", "--event-type", "t", "--batch", "9"]
    is_failure(try_run(*words, data=data, input="{}"), "no server runs", "--url")
    gone = try_run(*words, "--url", "http://127.0.0.1:1", "--token", "x", data=data, input="{}")
    is_failure(gone, "does a server run there")
    is_failure(try_run(*words, "--file", data / "none", "--url", server.url, "--token", "x"), "none")
    denied = batch(server, app, "--event-type", "t", "--batch", "9", "--token", "x", input="{}", check=False)
    assert denied.returncode == 1 and "401" in denied.stderr and denied.stdout == ""


def test_a_bar_on_a_terminal(server, app, tmp_path):
    (tmp_path / "lines").write_text("{}\n" * 400)
    words = ["send", "--app", app["id"], "--event-type", "t", "--batch", "10", "--file", tmp_path / "lines"]
    terminal = Terminal(server, *words)
    assert terminal.end() == (0, "400 messages sent\n")
    shown = re.findall(r"\[([#.]+)\] +(\d+) % (\d+) of 400 lines", terminal.text)
    assert len(shown) > 10 and shown[-1][1:] == ("100", "400")
    assert terminal.text.endswith("\r\x1b[K"), "the bar is taken away at the end"
