# SPDX-License-Identifier: Apache-2.0
"""`posthorn send`: one message, and many."""

import json
import time

import pytest
from harness.api import MSG_ID, unique
from harness.cli import is_failure, is_usage_error, try_run
from harness.server import run
from harness.wait import wait_for


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
    "words, missing",
    [
        ([], ["--app", "--event-type"]),
        (["--app", "a"], ["--event-type"]),
        (["--event-type", "t"], ["--app"]),
    ],
)
def test_send_without_what_it_needs(words, missing, data):
    line = is_usage_error(try_run("send", *words, data=data, input="{}"), *missing, "help send")
    assert line.count("--") == len(missing)


def test_send_cannot_be_talked_into_another_message(server, api, app):
    """The payload is one JSON value: text behind it must not become fields of the message."""
    payload = '{"a": 1}, "eventId": "smuggled"'
    words = ["send", "--app", app["id"], "--event-type", "t", "--payload", payload]
    is_failure(server.run(*words, check=False))
    assert api.ok("GET", f"/app/{app['id']}/msg")["data"] == []
