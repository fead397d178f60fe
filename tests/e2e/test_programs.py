# SPDX-License-Identifier: Apache-2.0
"""Filters and transforms: jq programs of endpoints, run by worker processes, with real receivers behind them."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from harness import signatures
from harness.api import FAIL, SUCCESS, is_invalid
from harness.receiver import Receiver, Reply
from harness.server import Server
from harness.wait import wait_for


def deliver(api, app, receiver, path, payload, **fields):
    message = api.send(app, payload, **fields)
    return receiver.wait_message(message["id"], path)[0]


# ---- filters ----


@pytest.mark.smoke
def test_a_filter_chooses(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), filter=".data.amount > 10 and .type == \"test.event\"")
    small, large = api.send(app, {"amount": 5}), api.send(app, {"amount": 11})
    receiver.wait_message(large["id"], path)
    wait_for(lambda: api.destination(app, small, endpoint)["statusText"] == "canceled", 10)
    assert [request.message_id for request in receiver.requests(path)] == [large["id"]]
    assert api.attempts(app, small) == []


def test_what_a_program_sees(api, app, receiver, path):
    headers = {"X-Team": "blue", "Authorization": "secret"}
    api.new_endpoint(app, receiver.url(path), headers=headers, transform="{body: .}")
    message = api.send(app, {"n": [1, None, "é"]}, channels=["a", "b"])
    body = json.loads(receiver.wait_message(message["id"], path)[0].body)
    assert body == {"type": "test.event", "data": {"n": [1, None, "é"]}, "id": message["id"], "channels": ["a", "b"],
                    "timestamp": body["timestamp"], "headers": {"x-team": "blue"}}
    assert body["timestamp"][:19] == message["timestamp"][:19]


@pytest.mark.parametrize("program, wanted", [("true", True), ("1", True), ("false", False), ("null", False),
                                             ("empty", False), (".data.n", True), ("false, true", False)])
def test_the_first_output_decides(api, app, receiver, path, program, wanted):
    endpoint = api.new_endpoint(app, receiver.url(path), filter=program)
    message = api.send(app)
    if wanted:
        receiver.wait_message(message["id"], path)
    else:
        wait_for(lambda: api.destination(app, message, endpoint)["statusText"] == "canceled", 10)
        assert not receiver.requests(path)


def test_a_filter_that_fails_is_a_failed_attempt(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), filter='if .data.n then error("no such n") else true end',
                                retrySchedule=[0.05])
    attempts = api.wait_final(app, api.send(app), endpoint)
    assert [attempt["status"] for attempt in attempts] == [FAIL, FAIL]
    assert "filter" in attempts[0]["response"] and "no such n" in attempts[0]["response"]
    assert attempts[0]["responseStatusCode"] == 0 and not receiver.requests(path)


def test_a_resend_is_not_filtered(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path), filter="false")
    message = api.send(app)
    wait_for(lambda: api.destination(app, message, endpoint)["statusText"] == "canceled", 10)
    api.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
    receiver.wait_message(message["id"], path)


# ---- transforms ----


@pytest.mark.smoke
def test_a_transform_makes_the_request(api, app, receiver, path):
    other = path + "/other"
    program = (f'{{body: {{text: "run \\(.data.run)"}}, headers: {{"X-Kind": .type}}, method: "PUT",'
               f' url: "{receiver.url(other)}"}}')
    endpoint = api.new_endpoint(app, receiver.url(path), transform=program, headers={"X-Kind": "old", "X-More": "1"})
    request = deliver(api, app, receiver, other, {"run": 7})
    assert request.method == "PUT" and request.body == b'{"text":"run 7"}'
    assert request.all("x-kind") == ["test.event"] and request.header("x-more") == "1"
    assert request.header("content-type") == "application/json"
    assert signatures.verifies(api.secret(app, endpoint), request)
    (attempt,) = api.wait_attempts(app, {"id": request.message_id})
    assert attempt["url"] == receiver.url(other)
    assert not receiver.requests(path)


def test_a_text_goes_as_it_is(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path), transform='{body: "a=1&b=\\"é\\"", headers: {"content-type": "text/x"}}')
    request = deliver(api, app, receiver, path, {})
    assert request.body == 'a=1&b="é"'.encode() and request.all("content-type") == ["text/x"]


@pytest.mark.parametrize("program", ["null", "empty"])
def test_a_transform_drops(api, app, receiver, path, program):
    endpoint = api.new_endpoint(app, receiver.url(path), transform=program)
    message = api.send(app)
    wait_for(lambda: api.destination(app, message, endpoint)["statusText"] == "canceled", 10)
    assert api.attempts(app, message) == [] and not receiver.requests(path)


@pytest.mark.parametrize("program, words", [
    ("{}", "body"), ("{body: 1, headers: []}", "headers"), ('{body: 1, method: "GET"}', "method"),
    ('{body: 1, url: "file:///etc/passwd"}', "url"), ("[1]", "transform"), ("{body: 1}, {body: 2}", "transform"),
    ('{body: 1, headers: {"a b": "x"}}', "headers"), ('{body: 1, headers: {"x": "a\\nb"}}', "headers"),
    (".data.n.x", "transform"),
])
def test_a_result_that_cannot_be_sent(api, app, receiver, path, program, words):
    endpoint = api.new_endpoint(app, receiver.url(path), transform=program, retrySchedule=[])
    (attempt,) = api.wait_final(app, api.send(app), endpoint)
    assert words in attempt["response"] and not receiver.requests(path)


def test_a_transformed_url_passes_the_guard(path):
    with Receiver() as receiver, Server({"allow_subnets": None}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, "https://example.com/", retrySchedule=[],
                                    transform=f'{{body: 1, url: "{receiver.url(path)}"}}')
        (attempt,) = api.wait_final(app, api.send(app), endpoint)
        assert "127.0.0.0/8" in attempt["response"] and not receiver.requests(path)


@pytest.mark.parametrize("secret", [{"auth": {"type": "basic", "username": "u", "password": "top"}},
                                    {"headers": {"X-Api-Key": "top"}}], ids=["auth", "header"])
def test_a_transform_sends_credentials_nowhere_else(api, app, receiver, path, secret):
    with Receiver() as other:
        program = f'{{body: 1, url: (if .data.away then "{other.url(path)}" else "{receiver.url(path + "/x")}" end)}}'
        endpoint = api.new_endpoint(app, receiver.url(path), transform=program, retrySchedule=[], **secret)
        (attempt,) = api.wait_final(app, api.send(app, {"away": True}), endpoint)
        assert "transform.url" in attempt["response"] and not other.requests(path)
        deliver(api, app, receiver, path + "/x", {"away": False})


def test_the_last_header_of_a_name_holds(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path), transform='{body: 1, headers: {"X-A": "1", "x-a": "2"}}')
    assert deliver(api, app, receiver, path, {}).all("x-a") == ["2"]


# ---- programs that misbehave ----


def test_programs_that_never_end_hold_nobody_up(api, receiver, path):
    """One that loops, one that allocates for ever, one that recurses: each a recorded failure; others go on."""
    app, other = api.new_app(), api.new_app()
    bad = {
        "loop": "def f: f; f",
        "memory": '"x" * 1000 | [., .] | until(false; . + .)',
        "output": '[range(1000000)] | {body: .}',
        "recursion": "def f(x): [f(x + 1)]; f(0)",
    }
    endpoints = {name: api.new_endpoint(app, receiver.url(path + "/" + name), transform=text, retrySchedule=[])
                 for name, text in bad.items()}
    api.new_endpoint(other, receiver.url(path), filter=".data.n != 0", transform="{body: .data}")
    stuck = api.send(app)
    others = [api.send(other, {"n": n}) for n in range(1, 51)]
    for message in others:
        receiver.wait_message(message["id"], path)
    for name, endpoint in endpoints.items():
        (attempt,) = api.wait_final(app, stuck, endpoint, 60)
        assert attempt["status"] == FAIL and attempt["response"].startswith("transform: "), (name, attempt)
        assert not receiver.requests(path + "/" + name)


def test_workers_that_are_killed_lose_nothing(path):
    with Receiver() as receiver, Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path), filter="true", transform="{body: .data}")
        ids = []
        for round in range(5):
            ids += [api.send(app, {"n": n})["id"] for n in range(20)]
            for task in os.listdir(f"/proc/{server.pid}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                    for child in Path(f"/proc/{server.pid}/task/{task}/children").read_text().split():
                        os.kill(int(child), signal.SIGKILL)
        wait_for(lambda: {request.message_id for request in receiver.requests(path)} >= set(ids), 30)


def test_the_environment_and_files_are_out_of_reach(api, app, receiver, path):
    program = "{body: [$ENV, env, (try input catch \"none\"), (try input_filename catch \"none\")]}"
    api.new_endpoint(app, receiver.url(path), transform=program)
    assert json.loads(deliver(api, app, receiver, path, {}).body)[:2] == [{}, {}]


# ---- saving ----


@pytest.mark.parametrize("field", ["filter", "transform"])
@pytest.mark.parametrize("program", ["{", ".a |", "nonsense_function", 'import "x" as x; .', "include \"x\"; ."])
def test_a_program_that_does_not_compile_is_not_saved(api, app, field, program):
    base = f"/app/{app['id']}/endpoint"
    error = is_invalid(api.post(base, {"url": "http://127.0.0.1:9/", field: program}), "body", field)
    assert error["msg"]
    assert api.ok("GET", base)["data"] == []
    endpoint = api.new_endpoint(app, "http://127.0.0.1:9/", **{field: "true"})
    is_invalid(api.patch(f"{base}/{endpoint['id']}", {field: program, "description": "x"}), "body", field)
    assert api.ok("GET", f"{base}/{endpoint['id']}")["description"] == ""


def test_the_transformation_is_the_same_program(api, app, receiver, path):
    endpoint = api.new_endpoint(app, receiver.url(path))
    base = f"/app/{app['id']}/endpoint/{endpoint['id']}"
    assert api.ok("GET", base + "/transformation") == {"code": None, "enabled": False, "variables": None,
                                                       "updatedAt": None}
    code = "{body: {is: .variables.word}}"
    assert api.patch(base + "/transformation", {"code": code, "variables": {"word": "x"}}).status_code == 204
    shown = api.ok("GET", base + "/transformation")
    assert (shown["code"], shown["enabled"], shown["variables"]) == (code, True, {"word": "x"})
    assert api.ok("GET", base)["transform"] == code
    assert deliver(api, app, receiver, path, {}).body == b'{"is":"x"}'
    assert api.patch(base + "/transformation", {"enabled": False}).status_code == 204
    assert deliver(api, app, receiver, path, {"n": 2}).body == b'{"n": 2}'
    is_invalid(api.patch(base + "/transformation", {"code": "{"}), "body", "code")
    is_invalid(api.patch(base + "/transformation", {"enabled": 1}), "body", "enabled")


# ---- dry run ----


def simulate(api, body, path="/transformation/simulate"):
    return api.ok("POST", path, body)


def test_a_dry_run(api, app, receiver, path):
    sample = {"type": "a", "data": {"n": 1}}
    assert simulate(api, {"filter": ".data.n == 1", "code": "{body: .data}", "sample": sample}) == {
        "delivers": True, "result": {"body": {"n": 1}}, "error": None, "warnings": []}
    assert simulate(api, {"filter": "false", "code": "{body: 1}", "sample": sample})["delivers"] is False
    assert simulate(api, {"code": "null", "sample": sample})["result"] is None
    assert "boom" in simulate(api, {"code": 'error("boom")', "sample": sample})["error"]
    assert "body" in simulate(api, {"code": "{}", "sample": sample})["error"]
    wrong = simulate(api, {"code": '{body: 1, method: "GET"}', "sample": sample})
    assert wrong["error"] == "transform.method: must be POST, PUT or PATCH"
    assert simulate(api, {"code": "{body: 1}", "sample": {"data": {"id": 9007199254740993}}})["warnings"]
    assert not simulate(api, {"code": "{body: 1}", "sample": {"data": {"id": "9007199254740993"}}})["warnings"]
    is_invalid(api.post("/transformation/simulate", {"code": "."}), "body", "sample")
    endpoint = api.new_endpoint(app, receiver.url(path), filter=".type == \"a\"", transform="{body: .type}")
    own = f"/app/{app['id']}/endpoint/{endpoint['id']}/transformation/simulate"
    assert simulate(api, {"sample": sample}, own)["result"] == {"body": "a"}
    assert simulate(api, {"sample": sample, "filter": "false"}, own)["delivers"] is False
    assert not receiver.requests(path)


def test_a_dry_run_is_for_those_who_may_change_programs(server, api, app):
    def status(capabilities):
        body = {"capabilities": capabilities}
        token = api.ok("POST", f"/auth/app-portal-access/{app['id']}", body)["token"]
        return server.api(token).post("/transformation/simulate", {"code": "{body: 1}", "sample": {}}).status_code

    assert status(["ViewBase"]) == 403
    assert status(["ViewBase", "ManageTransformations"]) == 200


def test_an_idle_server_has_no_workers(path):
    with Server() as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, "http://127.0.0.1:9/")
        assert "jq-worker" not in children_of(server)
        api.new_endpoint(app, "http://127.0.0.1:9/", filter="true")
        assert "jq-worker" in children_of(server)


def children_of(server):
    import os

    lines = []
    for task in os.listdir(f"/proc/{server.pid}/task"):
        for child in open(f"/proc/{server.pid}/task/{task}/children").read().split():
            lines.append(open(f"/proc/{child}/cmdline").read())
    return " ".join(lines)
