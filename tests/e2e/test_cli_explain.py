# SPDX-License-Identifier: Apache-2.0
"""`posthorn explain`: why each endpoint got a message or did not, for people and as JSON."""

import json

import pytest
from harness.api import unique
from harness.cli import is_failure, is_usage_error, try_run
from harness.receiver import Reply
from harness.server import run


def explain(server, app, message, *words, **kwargs):
    done = server.run("explain", "--app", app["id"], "--msg", message["id"], *words, **kwargs)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.smoke
def test_words_for_people(server, api, app, receiver, path):
    receiver.script(path, Reply(503))
    api.post("/event-type", {"name": "order.paid", "description": "d"})
    waiting = api.new_endpoint(app, receiver.url(path), uid="waiting", retrySchedule=[600])
    other = api.new_endpoint(app, receiver.url(path), eventTypes=["order.paid"])
    message = api.send(app, channels=["red"])
    row = api.wait_explained(app, message, waiting, "pending", "retry")
    head, empty, *lines = explain(server, app, message).splitlines()
    assert head == f"{message['id']}  test.event  {message['timestamp']}  channels [\"red\"]" and empty == ""
    assert lines == [
        f"pending    {waiting['id']} (waiting)  {receiver.url(path)}",
        f"           {row['detail']}",
        f"skipped    {other['id']}  {receiver.url(path)}",
        "           its event types are order.paid",
    ]


@pytest.mark.smoke
def test_json_is_what_the_api_says(server, api, app):
    api.new_endpoint(app, "http://127.0.0.1:9/", disabled=True)
    message = api.send(app, channels=["a"])
    told = json.loads(explain(server, app, message, "--json"))
    whole = api.ok("GET", f"/app/{app['id']}/msg/{message['id']}/explain")
    assert told == {name: whole[name] for name in ("messageId", "eventType", "channels", "timestamp", "data")}


def test_names_and_one_endpoint(server, api, receiver, path):
    app = api.new_app(uid=unique("uid"))
    api.new_endpoint(app, receiver.url(path), uid="one")
    api.new_endpoint(app, receiver.url(path), uid="two")
    api.send(app, eventId="order-17")
    words = ["explain", "--app", app["uid"], "--msg", "order-17"]
    told = json.loads(server.run(*words, "--endpoint", "two", "--json").stdout)
    assert [row["endpointUid"] for row in told["data"]] == ["two"]
    assert server.run(*words).stdout.count("\n           ") == 2
    # From elsewhere, with an application's token.
    token = server.app_token(app["id"])
    elsewhere = run(*words, "--json", "--url", server.url, env={"POSTHORN_TOKEN": token}).stdout
    assert len(json.loads(elsewhere)["data"]) == 2


def test_no_endpoints(server, api, app):
    assert "no endpoints" in explain(server, app, api.send(app))
    assert json.loads(explain(server, app, api.send(app), "--json"))["data"] == []


def test_many_endpoints(server, api, app):
    """More than one page of the API is one document all the same."""
    for _ in range(253):
        api.new_endpoint(app, "http://127.0.0.1:9/", disabled=True)
    message = api.send(app)
    told = json.loads(explain(server, app, message, "--json"))
    ids = [row["endpointId"] for row in told["data"]]
    assert len(ids) == len(set(ids)) == 253 and ids == sorted(ids)
    lines = explain(server, app, message).splitlines()
    assert sum(line.startswith("skipped    ep_") for line in lines) == 253
    assert sum(line.startswith("msg_") for line in lines) == 1


def test_a_terminal_gets_no_control_characters(server, api, app, receiver, path):
    """An endpoint's program chooses the words of its error."""
    endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[], filter='"a\\u001b[31mb" | error')
    message = api.send(app)
    row = api.wait_explained(app, message, endpoint, "failed", None)
    assert "a\x1b[31mb" in row["detail"]
    text = explain(server, app, message)
    assert r"a\x1b[31mb" in text and "\x1b" not in text


def test_used_badly(server, api, app, data):
    is_usage_error(try_run("explain", "--msg", "m"), "--app", "help explain")
    is_usage_error(try_run("explain", "--app", "a"), "--msg")
    words = ["explain", "--app", app["id"], "--msg"]
    is_failure(server.run(*words, "nothing", check=False), "404", "not_found", "names")
    is_failure(server.run("explain", "--app", "nobody", "--msg", "m", check=False), "404")
    is_failure(server.run(*words, "m", "--token", "x", check=False), "401", "posthorn token create")
    message = api.send(app)
    is_failure(server.run(*words, message["id"], "--endpoint", "ep_none", check=False), "404")
    is_failure(try_run(*words, "m", data=data), "no server runs", "--url")
    gone = try_run(*words, "m", "--url", "http://127.0.0.1:1", "--token", "x", data=data)
    is_failure(gone, "127.0.0.1", "does a server run there")
