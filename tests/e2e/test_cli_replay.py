# SPDX-License-Identifier: Apache-2.0
"""`posthorn replay`: what it sends, what it says on a terminal and elsewhere, and how it ends."""

import json
import re
import signal
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from harness.api import id_pattern
from harness.cli import Terminal, is_failure, is_usage_error, try_run
from harness.receiver import Reply
from harness.server import BIN, Server, clean_environment
from harness.wait import net, wait_for

TASK_ID = id_pattern("qtask")


@pytest.fixture
def endpoint(api, app, receiver, path):
    return api.new_endpoint(app, receiver.url(path))


def replay(server, *words, **kwargs):
    return try_run("replay", *map(str, words), data=server.data, timeout=kwargs.pop("timeout", 20), **kwargs)


def of(app, endpoint, *words):
    return ("--app", app["id"], "--endpoint", endpoint["id"], *words)


def received(receiver, path):
    return sorted(request.message_id for request in receiver.requests(path))


def ids(messages):
    return sorted(message["id"] for message in messages)


# ---- what it sends ----


def test_failed_is_the_default(server, api, app, endpoint, receiver, path):
    receiver.script(path, Reply(404))
    failed = [api.send(app) for _ in range(3)]
    for message in failed:
        api.wait_final(app, message, endpoint)
    receiver.script(path, Reply(200))
    receiver.clear()
    done = replay(server, *of(app, endpoint, "--since", "1h"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 messages sent again\n", "")
    assert received(receiver, path) == ids(failed)
    done = replay(server, *of(app, endpoint, "--since", "1h", "--failed", "--follow"))
    assert (done.returncode, done.stdout) == (0, "0 messages sent again\n")


def test_missing_and_all(server, api, app, receiver, path):
    old = [api.send(app) for _ in range(2)]
    endpoint = api.new_endpoint(app, receiver.url(path))
    done = replay(server, *of(app, endpoint, "--since", "10m", "--missing"))
    assert (done.returncode, done.stdout) == (0, "2 messages sent again\n")
    assert received(receiver, path) == ids(old)
    api.ok("DELETE", f"/app/{app['id']}/msg/{old[0]['id']}/content", status=204)
    since = (datetime.now(timezone.utc) - timedelta(minutes=5)).isoformat()
    done = replay(server, *of(app, endpoint, "--since", since, "--all"))
    assert (done.returncode, done.stdout) == (0, "1 messages sent again, 1 have no payload any more\n")
    done = replay(server, *of(app, endpoint, "--since", "10m", "--until", "5m", "--all"))
    assert (done.returncode, done.stdout) == (0, "0 messages sent again\n")


def test_filters(server, api, app, endpoint, receiver, path):
    """Each of the three kinds takes the filters that the API has."""
    kinds = [api.new_event_type()["name"] for _ in range(3)]
    receiver.script(path, Reply(404))
    made = [
        api.send(app, event_type=kinds[0], channels=["c"]),
        api.send(app, event_type=kinds[1], tags=["t"]),
        api.send(app, event_type=kinds[2], channels=["d"]),
    ]
    for message in made:
        api.wait_final(app, message, endpoint)
    receiver.script(path, Reply(200))
    late = api.new_endpoint(app, receiver.url(f"{path}-late"))

    def sends(to, where, *words, chosen):
        receiver.clear()
        done = replay(server, *of(app, to, "--since", "1h", *words))
        assert (done.returncode, done.stdout) == (0, f"{len(chosen)} messages sent again\n"), done.stderr
        assert received(receiver, where) == ids(chosen)

    sends(endpoint, path, "--event-type", kinds[0], chosen=made[:1])
    sends(endpoint, path, "--all", "--event-type", kinds[0], "--event-type", kinds[1], chosen=made[:2])
    sends(endpoint, path, "--all", "--event-type", f"{kinds[1]},{kinds[2]}", chosen=made[1:])
    sends(late, f"{path}-late", "--missing", "--channel", "d", chosen=made[2:])
    sends(endpoint, path, "--all", "--tag", "t", chosen=made[1:2])
    sends(endpoint, path, "--all", "--tag", "t", "--channel", "c", chosen=[])
    # By now all but the third have succeeded here, whose failure was answered 404.
    receiver.script(path, Reply(500), Reply(404))
    bad = api.send(app, event_type=kinds[0])
    api.wait_final(app, bad, endpoint)
    receiver.script(path, Reply(200))
    sends(endpoint, path, "--all", "--status", "fail", chosen=[bad])
    sends(endpoint, path, "--all", "--status", "success", "--status-code-class", "200", chosen=[*made, bad])
    sends(endpoint, path, "--all", "--status-code-class", "0", chosen=[])


def test_filters_that_cannot_be(server, app, endpoint):
    start = of(app, endpoint, "--since", "1h")
    is_usage_error(replay(server, *start, "--status", "fail"), "--status and --status-code-class go with --all")
    is_usage_error(replay(server, *start, "--all", "--status", "lost"), "--status wants success, pending", "lost")
    is_usage_error(replay(server, *start, "--all", "--status-code-class", "4xx"), "--status-code-class wants 0, 100")
    is_usage_error(replay(server, "--task", "qtask_x", "--channel", "c"), "name one task, and nothing else")
    is_failure(replay(server, *start, "--all", "--status-code-class", "404"), "status_code_class", "must be 0, 100")
    is_failure(replay(server, *start, "--event-type", "a b"), "event_types")
    is_failure(replay(server, *start, "--channel", ""), "channel")


def test_as_json(server, api, app, endpoint, receiver, path):
    message = api.send(app)
    api.wait_final(app, message, endpoint)
    done = replay(server, *of(app, endpoint, "--since", "1h", "--all", "--json"))
    task = json.loads(done.stdout)
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and done.stderr == ""
    assert (task["status"], task["task"], task["data"]["messagesSent"]) == ("finished", "endpoint.bulk-replay", 1)


def test_a_detached_one_is_followed_and_cancelled_later(server, api, app, receiver, path):
    for _ in range(150):
        api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    done = replay(server, *of(app, endpoint, "--since", "1h", "--missing", "--rate", 5, "--detach"))
    task_id = done.stdout.strip()
    assert done.returncode == 0 and TASK_ID.match(task_id) and done.stdout == task_id + "\n"
    follower = subprocess.Popen(
        [BIN, "replay", "--task", task_id, "--data", str(server.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    receiver.wait(path, 3)
    done = replay(server, "--cancel", task_id)
    assert done.returncode == 0 and re.match(r"^cancelled after \d+ messages\n$", done.stdout)
    out, errors = follower.communicate(timeout=net(20))
    assert (follower.returncode, out) == (1, "") and "was cancelled after" in errors
    # Once more it is still cancelled; the same as JSON.
    done = replay(server, "--cancel", task_id, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["data"]["cancelled"] is True
    detached = replay(server, *of(app, endpoint, "--since", "1h", "--all", "--detach", "--json"))
    finished = json.loads(detached.stdout)["id"]
    assert replay(server, "--task", finished).returncode == 0
    is_failure(replay(server, "--cancel", finished), finished, "had ended before: finished")


# ---- on a terminal, and interrupted ----


def test_the_bar_on_a_terminal(server, api, app, receiver, path):
    for _ in range(45):
        api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    terminal = Terminal(server, "replay", *of(app, endpoint, "--since", "1h", "--missing", "--rate", 15))
    assert terminal.end() == (0, "45 messages sent again\n")
    bars = re.findall(r"\r\[([#.]{30})\] +(\d+) % (\d+) of 45 messages([^\r]*)\x1b\[K", terminal.text)
    assert len(bars) >= 3, terminal.text
    percents = [int(percent) for _, percent, _, _ in bars]
    assert percents == sorted(percents) and percents[-1] == 100
    assert any(re.match(r", \d+(\.\d)?/s, \d+ s left$", rest) for *_, rest in bars), terminal.text
    assert terminal.text.endswith("\r\x1b[K"), "nothing is left of it"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_command_only(server, api, app, receiver, path, number):
    for _ in range(100):
        api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    terminal = Terminal(server, "replay", *of(app, endpoint, "--since", "1h", "--missing", "--rate", 10))
    wait_for(lambda: "of 100 messages" in terminal.text, what="the bar")
    terminal.process.send_signal(number)
    code, out = terminal.end()
    assert (code, out) == (1, "")
    (line,) = [line for line in terminal.text.splitlines() if "posthorn: " in line]
    task_id = re.search(r"(qtask_\w{27}) goes on", line).group(1)
    assert f"`posthorn replay --task {task_id}`" in line and f"`posthorn replay --cancel {task_id}`" in line
    assert api.ok("GET", f"/background-task/{task_id}")["status"] == "running"
    done = replay(server, "--task", task_id)
    assert (done.returncode, done.stdout) == (0, "100 messages sent again\n")
    assert len(received(receiver, path)) == 100


def test_a_restart_of_the_server_is_waited_for(receiver, path):
    with Server() as server:
        api = server.api()
        app = api.new_app()
        for _ in range(30):
            api.send(app)
        endpoint = api.new_endpoint(app, receiver.url(path))
        words = of(app, endpoint, "--since", "1h", "--missing", "--rate", "10")
        process = subprocess.Popen(
            [BIN, "replay", *words, "--data", str(server.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        receiver.wait(path, 12)
        server.kill()
        server.start()
        out, errors = process.communicate(timeout=net(30))
        assert (process.returncode, out) == (0, "30 messages sent again\n"), errors
        assert errors == "" or errors.count("trying again") == 1


# ---- when it does not work ----


def test_a_task_that_fails(server, api, app, endpoint):
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": True})
    done = replay(server, *of(app, endpoint, "--since", "1h"))
    is_failure(done, "failed after 0 messages", "the endpoint was disabled or deleted")


def test_what_the_server_refuses(server, app, endpoint):
    is_failure(replay(server, "--app", "nobody", "--endpoint", endpoint["id"], "--since", "1h"), "404")
    is_failure(replay(server, *of(app, endpoint, "--since", "60d")), "422", "14 days")
    is_failure(replay(server, *of(app, endpoint, "--since", "1h", "--rate", "1000000")), "422", "rate")
    is_failure(replay(server, "--task", "qtask_nothing"), "404")
    is_failure(replay(server, "--cancel", "qtask_nothing"), "404")
    is_failure(replay(server, *of(app, endpoint, "--since", "1h", "--token", "nonsense")), "401")


def test_without_a_server(tmp_path):
    words = ("replay", "--app", "a", "--endpoint", "e", "--since", "1h")
    is_failure(try_run(*words, data=tmp_path), "--url", str(tmp_path))
    is_failure(try_run(*words, "--url", "http://127.0.0.1:1", "--token", "x"), "no answer")
    is_failure(try_run("replay", "--task", "x", "--url", "http://127.0.0.1:1", "--token", "x"), "no answer")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--app, --endpoint and --since"),
        (("--app", "a", "--endpoint", "e"), "--since"),
        (("--app", "a", "--endpoint", "e", "--since", "yesterday"), '--since wants an age.*"yesterday"'),
        (("--app", "a", "--endpoint", "e", "--since", "1h", "--until", "0h"), "--until"),
        (("--app", "a", "--endpoint", "e", "--since", "1h", "--rate", "0"), '--rate.*"0"'),
        (("--app", "a", "--endpoint", "e", "--since", "1h", "--rate", "fast"), '--rate.*"fast"'),
        (("--app", "a", "--endpoint", "e", "--since", "1h", "--all", "--missing"), "only one of --failed"),
        (("--app", "a", "--endpoint", "e", "--since", "1h", "--follow", "--detach"), "only one of --follow"),
        (("--task", "t", "--cancel", "t"), "one task, and nothing else"),
        (("--cancel", "t", "--app", "a"), "one task, and nothing else"),
    ],
)
def test_wrong_usage(tmp_path, words, said):
    assert re.search(said, is_usage_error(try_run("replay", *words, data=tmp_path)))
