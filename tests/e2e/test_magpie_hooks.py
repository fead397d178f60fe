# SPDX-License-Identifier: Apache-2.0
"""Hooks of the magpie surface: how they are configured, what they send, and what becomes of failures."""

import json
import math
import os
import random
import signal
import subprocess
import threading

import pytest
import yaml
from harness.api import unique
from harness.cli import try_run
from harness.ledger import SEED
from harness.magpie import Magpie, fresh, make_token
from harness.magpie_hooks import APP, SAMPLE, emit, endpoints, hook, write
from harness.receiver import Reply
from harness.server import BIN, Server, run
from harness.wait import net, wait_for

# As deployments have it: one file with all sections of the original, variables, spaces before colons.
DEPLOYED = """
# Everything for this platform is in one file.
providers:
  catalog:
    url: http://${HOOKS_HOST}/catalog
groups:
  - name: birds
permissions:
  - service: catalog
    permission: {name: read}
webhooks:
  - name: "created"
    action: create_user
    method: POST
    url : ${HOOKS_URL}/users
    payload:
      event : "created"
      user_name : "{{user.name}}"
      user_id: '{{user.id}}'
      callback_url : "{{callback_url}}"
  - name: permissions
    action: create_user_permission
    method: PUT
    url: $HOOKS_URL/permissions
    format: json
    payload:
      event: created
      service_name: "{{service.name}}"
      service_type: "{{service.type}}"
      resource_id: "{{resource.id}}"
      "id {{resource.id}}": ["{{permission}}", {deep: "{{user.name}}"}]
      text: |
        {{permission.name}}
        é "quoted"
      'no': [yes, 010, ~, 1.50]
"""


class Hooked:
    """A server with a file of hooks that tests write anew."""

    def __init__(self, folder, hooks, settings=None, **more):
        self.path = write(folder / "hooks.json", *hooks)
        self.server = Server({"magpie.config_path": self.path, **(settings or {})}, **more)

    def __enter__(self):
        self.server.__enter__()
        self.api = self.server.api()
        self.magpie = Magpie(self.server, make_token(self.server, "root"))
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def reload(self):
        """SIGHUP; returns what the log says of it."""
        before = len(self.server.log())
        self.server.process.send_signal(signal.SIGHUP)

        def answer():
            log = self.server.log()[before:]
            return log if "configuration reloaded" in log else None

        return wait_for(answer, 10)


@pytest.fixture
def hooked(tmp_path):
    running = []

    def start(*hooks, **more):
        running.append(Hooked(tmp_path, hooks, **more).__enter__())
        return running[-1]

    yield start
    for one in running:
        one.__exit__(None, None, None)


def compact(body):
    """As the original writes JSON."""
    return json.dumps(body).encode()


# ---- configuration ----


def test_the_style_of_deployments(tmp_path, receiver, path):
    file = tmp_path / "config.yml"
    file.write_text(DEPLOYED)
    env = {"HOOKS_URL": receiver.url(path), "HOOKS_HOST": "h"}
    with Server({"magpie.config_path": file}, env=env) as server:
        api = server.api()
        emit(api, "create_user")
        (request,) = receiver.wait(path + "/users")
        assert request.method == "POST" and request.header("content-type") == "application/json"
        assert request.body == compact({"event": "created", "user_name": "ann", "user_id": 7,
                                        "callback_url": SAMPLE["create_user"]["callback_url"]})
        params = {"user.name": "ann", "resource.id": 12, "service.name": None, "service.type": "thredds",
                  "permission": "read-allow-match", "permission.name": "read"}
        emit(api, "create_user_permission", **params)
        (request,) = receiver.wait(path + "/permissions")
        assert request.method == "PUT"
        assert request.body == compact({
            "event": "created", "service_name": None, "service_type": "thredds", "resource_id": 12,
            "id 12": ["read-allow-match", {"deep": "ann"}], "text": "read\né \"quoted\"\n",
            "no": [True, 8, None, 1.5]})


def test_the_key_no_is_no_text(tmp_path):
    """A boolean in YAML 1.1, and keys are texts."""
    file = tmp_path / "config.yml"
    file.write_text("webhooks:\n- {name: a, action: create_user, method: POST, url: 'http://h', payload: {no: 1}}\n")
    done = try_run("magpie", "check", str(file))
    assert done.returncode == 1 and "a key must be a text, and this one is a boolean" in done.stdout


def test_a_folder(hooked, tmp_path, receiver, path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "b.json", hook("second", receiver.url(path + "/2")))
    write(folder / "a.yaml", hook("first", receiver.url(path + "/1")))
    write(folder / "c.txt", hook("never", receiver.url(path + "/3")))
    with Server({"magpie.config_path": folder}) as server:
        api = server.api()
        assert sorted(endpoints(api)) == ["first", "second"]
        emit(api)
        receiver.wait(path + "/1")
        receiver.wait(path + "/2")
    assert not receiver.requests(path + "/3")


def test_a_bad_set_keeps_the_server_from_starting(tmp_path):
    file = write(tmp_path / "hooks.json", hook("good", "http://h"), hook("bad", "http://h", method="post"))
    done = try_run("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0",
                   "--set", f"magpie.config_path={file}")
    assert done.returncode == 1 and "ready" not in done.stdout
    assert f"{file}:1: hook bad: " in done.stderr and "refused as a whole" in done.stderr


@pytest.mark.parametrize("option", ["magpie.base_url", "magpie.public_services_url"])
@pytest.mark.parametrize("address", [
    "ftp://iam.example.org", "//iam.example.org", "http://", "https:///", "http:///path", "http:", "/", "http://:80",
    "http://iam.example.org/?a=b", "http://iam.example.org/#x", "http://a b"])
def test_an_address_of_ours_is_http_or_https(tmp_path, option, address):
    done = try_run("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--set", f"{option}={address}")
    assert done.returncode == 1 and f"{option} is no http or https address" in done.stderr


def test_a_missing_path_means_no_hooks(tmp_path, receiver):
    with Server({"magpie.config_path": tmp_path / "nothing"}) as server:
        assert "there are no hooks" in server.log()
        assert "magpie" not in [app["uid"] for app in server.api().ok("GET", "/app")["data"]]


def test_who_does_not_use_it_does_not_see_it(server):
    assert "magpie" not in [app["uid"] for app in server.api().ok("GET", "/app")["data"]]


def scalars(random, count):
    """Plain scalars that look like numbers, words and dates of YAML 1.1, and what the original's reader makes of
    them; only those that JSON can say and that are no other structure."""
    words = ["yes", "No", "on", "oN", "~", "null", ".5", "1e5", "1.0e+5", "0x1F", "0b1", "010", "1:2", "-1:02.5", "="]
    found = []
    while len(found) < count:
        kind = random.random()
        if kind < 0.4:
            text = "".join(random.choices("0123456789_+-.:eE", k=random.randint(1, 9)))
        elif kind < 0.6:
            text = "".join(random.choices("0123456789abfxX_", k=random.randint(1, 8)))
        elif kind < 0.7:
            text = random.choice(words)
        elif kind < 0.85:
            text = repr(random.uniform(-1, 1) * 10 ** random.randint(-20, 25))
        else:
            text = "".join(random.choices("0123+-.:eExXbo~ynYNtfTrusalinul", k=random.randint(1, 6)))
        try:
            (value,) = yaml.safe_load("- " + text)
        except (yaml.YAMLError, ValueError):
            continue
        is_said = isinstance(value, (str, bool, type(None), int)) or (
            isinstance(value, float) and math.isfinite(value))
        if is_said and not (isinstance(value, int) and abs(value) >= 2**64):
            found.append(text)
    return found


def test_documents_are_read_as_the_original_reads_them(tmp_path):
    texts = scalars(random.Random(SEED), 2000)
    document = ("base: &base {method: PUT, payload: never}\nwebhooks:\n- <<: *base\n  name: a\n  action: create_user\n"
                "  url: http://h\n  payload:\n" + "".join(f"  - {text}\n" for text in texts))
    file = tmp_path / "hooks.yml"
    file.write_text(document)
    (hook_of,) = json.loads(run("magpie", "check", str(file), "--json").stdout)["hooks"]
    (wanted,) = yaml.safe_load(document)["webhooks"]
    assert hook_of["method"] == wanted["method"]
    for text, got, value in zip(texts, json.loads(hook_of["body"]), wanted["payload"]):
        assert json.dumps(got) == json.dumps(value), text
    assert hook_of["body"] == json.dumps(wanted["payload"])


# ---- requests ----


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_with_and_without_a_body(hooked, receiver, path, method):
    # The length that HEAD tells is of no body.
    head = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    receiver.script(path + "/with", head if method == "HEAD" else Reply())
    it = hooked(hook("with", receiver.url(path + "/with"), method=method, payload={"id": "{{user.id}}"}),
                hook("without", receiver.url(path + "/without"), method=method),
                hook("again", receiver.url(path + "/again"), method=method, payload=""))
    message = emit(it.api)
    (request,) = receiver.wait(path + "/with")
    assert request.method == method and request.body == b'{"id": 7}'
    assert request.header("content-length") == "9"
    (request,) = receiver.wait(path + "/without")
    assert request.method == method and request.body == b""
    silent = method in ("GET", "HEAD")
    assert request.header("content-length") == (None if silent else "0")
    assert request.header("content-type") == "application/json"
    (request,) = receiver.wait(path + "/again")
    assert request.body == b'""'
    attempts = it.api.wait_attempts(APP, message, 3)
    assert {attempt["status"] for attempt in attempts} == {0}


FORMATS = {
    None: "application/json", "json": "application/json", "application/json": "application/json",
    "yaml": "application/json", "HTML": "application/json", "html": "text/html", "text/html": "text/html",
    "text": "text/plain", "plain": "text/plain", "text/plain": "text/plain", "xml": "text/xml",
    "text/xml": "text/xml", "application/xml": "application/xml",
}


def test_every_format_on_the_wire(hooked, receiver, path):
    text = 'é <b>{{user.name}}</b>\n"{{user.id}}" {{ user.id }} {{group.name}}'
    as_text = 'é <b>ann</b>\n"7" {{ user.id }} {{group.name}}'
    hooks, expected = [], {}
    for number, (word, content_type) in enumerate(FORMATS.items()):
        is_json = content_type == "application/json"
        for kind, payload in (("text", text), ("null", None), ("empty", ""), ("none", {})):
            name = f"{number}-{kind}"
            hooks.append(hook(name, receiver.url(f"{path}/{name}"), format=word, payload=payload))
            body = {"text": compact(as_text) if is_json else as_text.encode(), "null": b"",
                    "empty": b'""' if is_json else b"", "none": b"{}" if is_json else b""}[kind]
            expected[name] = (content_type, body)
    it = hooked(*hooks)
    emit(it.api)
    for name, (content_type, body) in expected.items():
        (request,) = receiver.wait(f"{path}/{name}")
        assert (request.header("content-type"), request.body) == (content_type, body), name


def test_headers_and_credentials_of_the_url(hooked, receiver, path):
    url = receiver.url(path).replace("http://", "http://us%20er:pa%3Ass@")
    it = hooked(hook("a", url + "?q={{user.name}}&x=$NONE"))
    emit(it.api)
    (request,) = receiver.wait(path)
    names = {name.lower() for name, _ in request.headers}
    assert not {name for name in names if name.startswith(("webhook-", "svix-"))}
    assert request.header("authorization") == "Basic dXMgZXI6cGE6c3M="
    # URLs are no templates.
    assert "ann" not in request.target
    assert "pa%3Ass" not in it.server.log()


def test_signed_when_it_is_asked_for(hooked, receiver, path):
    it = hooked(hook("a", receiver.url(path), payload="x"))
    endpoint = endpoints(it.api)["a"]
    path_of = f"/app/magpie/endpoint/{endpoint['id']}"
    it.api.ok("PATCH", path_of, {"signature": None})
    it.api.ok("PATCH", path_of + "/headers", {"headers": {"X-Own": "1"}}, 204)
    emit(it.api)
    (request,) = receiver.wait(path)
    assert request.header("webhook-signature") and request.header("x-own") == "1"
    assert request.body == b'"x"'
    it.reload()
    emit(it.api)
    assert receiver.wait(path, 2)[1].header("x-own") == "1"


def test_native_endpoints_get_the_event(hooked, receiver, path):
    it = hooked(hook("a", receiver.url(path + "/hook")))
    it.api.new_endpoint(APP, receiver.url(path))
    message = emit(it.api)
    (request,) = receiver.wait_message(message["id"], path)
    assert json.loads(request.body) == {"action": "create_user", "params": SAMPLE["create_user"]}


# ---- failures ----


def test_one_attempt_by_default_and_redirects_are_not_followed(hooked, receiver, path):
    receiver.script(path + "/moved", Reply(302, [("Location", receiver.url(path + "/there"))]))
    receiver.script(path + "/gone", Reply(410))
    receiver.script(path + "/broken", Reply(500))
    it = hooked(*(hook(name, receiver.url(f"{path}/{name}")) for name in ("moved", "gone", "broken")))
    for number in range(3):
        message = emit(it.api)
        attempts = it.api.wait_attempts(APP, message, 3)
        assert {attempt["status"] for attempt in attempts} == {2}
    for name in ("moved", "gone", "broken"):
        assert len(receiver.requests(f"{path}/{name}")) == 3
    assert not receiver.requests(path + "/there")
    # Each event sends its hooks, always.
    assert not any(endpoint["disabled"] for endpoint in endpoints(it.api).values())


def test_attempts_by_setting(hooked, receiver, path):
    receiver.script(path, Reply(500), Reply(500), Reply(204))
    it = hooked(hook("a", receiver.url(path), payload={"n": "{{user.id}}"}),
                settings={"magpie.attempts": 4, "retry_schedule": "0.02,0.03"})
    message = emit(it.api)
    requests = receiver.wait(path, 3)
    it.api.wait_final(APP, message, endpoints(it.api)["a"])
    assert len({request.body for request in requests}) == 1 and len(receiver.requests(path)) == 3
    receiver.script(path, Reply(500))
    message = emit(it.api)
    it.api.wait_final(APP, message, endpoints(it.api)["a"])
    assert len(receiver.requests(path)) == 3 + 4


def test_hooks_of_one_action_do_not_wait_for_each_other(hooked, receiver, path):
    held = threading.Event()
    receiver.script(path + "/slow", Reply(hold=held))
    it = hooked(hook("slow", receiver.url(path + "/slow")), hook("quick", receiver.url(path + "/quick")))
    for _ in range(5):
        emit(it.api)
    receiver.wait(path + "/quick", 5)
    receiver.wait(path + "/slow", 5)  # nor does one event for another
    held.set()


def test_urls_that_cannot_be_called(hooked):
    it = hooked(hook("ftp", "ftp://127.0.0.1/x"), hook("port", "http://127.0.0.1:99999/"))
    assert it.server.log().count("nothing can be sent to `url`") == 2
    message = emit(it.api)
    attempts = it.api.wait_attempts(APP, message, 2)
    assert {(attempt["status"], attempt["responseStatusCode"]) for attempt in attempts} == {(2, 0)}


def test_a_message_that_is_no_event_is_not_sent(hooked, receiver, path):
    it = hooked(hook("a", receiver.url(path)))
    message = it.api.send(APP, {"n": 1}, "magpie.create_user")
    (attempt,) = it.api.wait_attempts(APP, message)
    assert attempt["status"] == 2 and "no event of magpie" in attempt["response"]
    assert not receiver.requests(path)


# ---- reload ----


def test_sighup(hooked, receiver, path):
    it = hooked(hook("stays", receiver.url(path + "/1")), hook("goes", receiver.url(path + "/2")))
    before = endpoints(it.api)
    emit(it.api)
    receiver.wait(path + "/1")
    receiver.wait(path + "/2")
    write(it.path, hook("stays", receiver.url(path + "/3"), method="PUT"), hook("new", receiver.url(path + "/4")))
    log = it.reload()
    assert "hooks loaded" in log and "added=1" in log and "changed=1" in log and "removed=1" in log
    after = endpoints(it.api)
    assert set(after) == {"stays", "new"} and after["stays"]["id"] == before["stays"]["id"]
    message = emit(it.api)
    assert receiver.wait(path + "/3")[0].method == "PUT"
    receiver.wait(path + "/4")
    it.api.wait_attempts(APP, message, 2)
    assert len(receiver.requests(path + "/1")) == len(receiver.requests(path + "/2")) == 1
    # A bad set, and one that is gone, leave the running one.
    write(it.path, hook("other", receiver.url(path + "/5")), hook("bad", "nowhere"))
    log = it.reload()
    assert "hook bad: `url` must have a scheme and a host" in log and "reload failed" in log
    os.remove(it.path)
    assert "No such file or directory" in it.reload()
    assert endpoints(it.api) == after
    message = emit(it.api)
    it.api.wait_attempts(APP, message, 2)
    assert len(receiver.requests(path + "/3")) == 2 and not receiver.requests(path + "/5")


def test_the_log_of_a_hook_goes_on_after_a_restart(hooked, receiver, path):
    it = hooked(hook("a", receiver.url(path)))
    first = emit(it.api)
    it.api.wait_attempts(APP, first)
    before = endpoints(it.api)
    it.server.restart()
    assert endpoints(it.api) == before
    second = emit(it.api)
    it.api.wait_attempts(APP, second)
    rows = it.api.ok("GET", f"/app/magpie/attempt/endpoint/{before['a']['id']}")["data"]
    assert [row["msgId"] for row in rows] == [second["id"], first["id"]]


def test_reload_by_the_api(hooked, receiver, path):
    it = hooked(hook("stays", receiver.url(path)), hook("goes", receiver.url(path)))
    write(it.path, hook("new", receiver.url(path), payload="{{nothing}}"),
          hook("stays", receiver.url(path), method="PUT"))
    answer = it.magpie.ok("POST", "/webhooks/reload")
    assert answer["webhooks"] == {"total": 2, "added": 1, "changed": 1, "removed": 1}
    assert answer["warnings"] == [
        f"warning: {it.path}:1: hook new: {{{{nothing}}}} is no parameter: it is sent as it stands"]
    assert it.magpie.ok("POST", "/webhooks/reload")["webhooks"] == {"total": 2, "added": 0, "changed": 0, "removed": 0}
    before = it.magpie.ok("GET", "/webhooks")
    write(it.path, hook("bad", "nowhere"), hook("worse", "http://h", "nothing"))
    refused = it.magpie.fails("POST", "/webhooks/reload", status=422)
    checked = try_run("magpie", "check", str(it.path), "--json")
    assert refused["errors"] == json.loads(checked.stdout)["errors"] and len(refused["errors"]) == 2
    assert it.magpie.ok("GET", "/webhooks") == before
    os.remove(it.path)
    refused = it.magpie.fails("POST", "/webhooks/reload", status=422)
    assert refused["errors"] == [f"error: {it.path}: cannot be read: No such file or directory"]
    assert it.magpie.ok("GET", "/webhooks") == before


def test_the_running_set_in_order(hooked, receiver, path):
    it = hooked(hook("b", "https://user:secret@h/x?q#f", "delete_user", "HEAD", format="html", payload="x{{user.id}}"),
                hook("a", "http://h", payload={"z": 1, "a": [None, 1.5]}))
    first, second = it.magpie.ok("GET", "/webhooks")["webhooks"]
    ids = endpoints(it.api)
    assert first == {
        "name": "b", "action": "delete_user", "method": "HEAD", "url": "https://user:***@h/x?q#f", "format": "html",
        "payload": "x{{user.id}}", "content_type": "text/html", "endpoint_id": ids["b"]["id"],
        "endpoint_uid": ids["b"]["uid"], "file": str(it.path), "line": 1}
    assert (second["format"], second["payload"], second["url"]) == (None, {"z": 1, "a": [None, 1.5]}, "http://h")
    for method, call in (("GET", "/webhooks"), ("POST", "/webhooks/reload"), ("POST", "/events")):
        Magpie(it.server).fails(method, call, status=401)


def test_two_reloads_at_once_end_with_what_was_committed_last(hooked, receiver, path):
    it = hooked(hook("a", receiver.url(path)))
    threads = []
    for number in range(8):
        write(it.path, hook("a", receiver.url(f"{path}/{number}")), hook(f"n{number}", receiver.url(path)))
        threads.append(threading.Thread(target=it.magpie.ok, args=("POST", "/webhooks/reload")))
        threads[-1].start()
    for thread in threads:
        thread.join()
    shown = {row["name"]: row["endpoint_id"] for row in it.magpie.ok("GET", "/webhooks")["webhooks"]}
    assert shown == {name: row["id"] for name, row in endpoints(it.api).items()}


# ---- users ----


def test_a_hook_that_fails_marks_the_user_once(hooked, receiver, path):
    """Two receivers, one fails; the other one says so by the callback, with HEAD."""
    payload = {"id": "{{user.id}}", "name": "{{user.name}}", "mail": "{{user.email}}", "callback": "{{callback_url}}"}
    held = threading.Event()
    receiver.script(path + "/bad", Reply(500, hold=held))
    it = hooked(hook("good", receiver.url(path + "/good"), payload=payload),
                hook("bad", receiver.url(path + "/bad"), payload=payload),
                hook("told", receiver.url(path + "/told"), "update_user_status"))
    user = it.magpie.user()
    (request,) = receiver.wait(path + "/good")
    body = json.loads(request.body)
    assert body == {"id": user["user_id"], "name": user["user_name"], "mail": user["email"],
                    "callback": body["callback"]}
    assert body["callback"].startswith(it.server.url + "/magpie/tmp/")
    assert receiver.wait(path + "/bad")[0].body == request.body
    assert it.magpie.status(user["user_name"]) == "OK"
    held.set()
    wait_for(lambda: it.magpie.status(user["user_name"]) == "WebhookError", 10)
    # It is by id: a name that was free again is somebody else's.
    it.magpie.ok("PATCH", f"/users/{user['user_name']}", {"status": "OK"})
    receiver.wait(path + "/told")
    response = it.magpie.http.head(body["callback"])
    assert response.status_code == 200 and response.content == b""
    assert it.magpie.status(user["user_name"]) == "WebhookError"
    assert it.magpie.http.head(body["callback"]).status_code == 404  # used
    # No hook told of what a hook caused.
    assert len(receiver.requests(path + "/told")) == 1


def test_it_is_the_last_attempt_that_counts(hooked, receiver, path):
    receiver.script(path, Reply(500), Reply(500), Reply(200))
    it = hooked(hook("a", receiver.url(path)), settings={"magpie.attempts": 3, "retry_schedule": "0.02"})
    first = it.magpie.user()
    receiver.wait(path, 3)
    api = it.api
    message = api.ok("GET", "/app/magpie/msg")["data"][0]
    api.wait_final(APP, message, endpoints(api)["a"])
    assert it.magpie.status(first["user_name"]) == "OK"
    receiver.script(path, Reply(500))
    second = it.magpie.user()
    wait_for(lambda: it.magpie.status(second["user_name"]) == "WebhookError", 10)
    assert len(receiver.requests(path)) == 6
    assert it.magpie.status(first["user_name"]) == "OK"


def test_renamed_in_between(hooked, receiver, path):
    held = threading.Event()
    receiver.script(path, Reply(500, hold=held))
    it = hooked(hook("a", receiver.url(path)))
    user = it.magpie.user()
    receiver.wait(path)
    name = fresh()
    it.magpie.ok("PATCH", f"/users/{user['user_name']}", {"user_name": name})
    receiver.script(path, Reply(200))
    other = it.magpie.user(user["user_name"], email="other@example.org")
    held.set()
    wait_for(lambda: it.magpie.status(name) == "WebhookError", 10)
    assert it.magpie.status(other["user_name"]) == "OK"


def test_other_actions_mark_nobody_and_attempts_by_hand_neither(hooked, receiver, path):
    receiver.script(path + "/deleted", Reply(500))
    receiver.script(path + "/status", Reply(500))
    it = hooked(hook("a", receiver.url(path + "/created")),
                hook("b", receiver.url(path + "/status"), "update_user_status"))
    user = it.magpie.user()
    receiver.wait(path + "/created")
    created = it.api.ok("GET", "/app/magpie/msg")["data"][0]
    it.magpie.ok("PATCH", f"/users/{user['user_name']}", {"status": "WebhookError"})
    it.magpie.ok("PATCH", f"/users/{user['user_name']}", {"status": "OK"})
    receiver.wait(path + "/status", 2)
    receiver.script(path + "/created", Reply(500))
    endpoint = endpoints(it.api)["a"]
    it.api.ok("POST", f"/app/magpie/msg/{created['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
    receiver.wait(path + "/created", 2)
    wait_for(lambda: len(it.api.attempts(APP, created)) == 2, 10)
    assert it.magpie.status(user["user_name"]) == "OK"


def test_permission_hooks(hooked, receiver, path):
    payload = {name: "{{%s}}" % name for name in (
        "user.name user.id user.email user.status group.name group.id resource.id resource.type resource.name "
        "resource.display_name service.name service.type service.public_url service.sync_type permission.name "
        "permission.access permission.scope permission callback_url").split()}
    hooks = [hook(f"{verb}_{who}", receiver.url(f"{path}/{verb}_{who}"), f"{verb}_{who}_permission", payload=payload)
             for verb in ("create", "delete") for who in ("user", "group")]
    it = hooked(*hooks, settings={"magpie.public_services_url": "https://public.example/ows"})
    user, group = it.magpie.user(), it.magpie.group()
    service = it.magpie.service("thredds")
    directory = it.magpie.resource(service, "directory")
    rights = f"/users/{user['user_name']}/resources/{service['resource_id']}/permissions"
    it.magpie.ok("POST", rights, {"permission": "read-match"}, 201)
    body = json.loads(receiver.wait(path + "/create_user")[0].body)
    assert body == {
        "user.name": user["user_name"], "user.id": user["user_id"], "user.email": user["email"], "user.status": "OK",
        "group.name": "{{group.name}}", "group.id": "{{group.id}}", "resource.id": service["resource_id"],
        "resource.type": "service", "resource.name": service["service_name"],
        "resource.display_name": service["service_name"], "service.name": service["service_name"],
        "service.type": "thredds", "service.public_url": f"https://public.example/ows/{service['service_name']}",
        "service.sync_type": None, "permission.name": "read", "permission.access": "allow",
        "permission.scope": "match", "permission": "read-allow-match", "callback_url": "{{callback_url}}"}
    it.magpie.ok("DELETE", rights + "/read")
    assert json.loads(receiver.wait(path + "/delete_user")[0].body) == body
    rights = f"/groups/{group['group_name']}/resources/{directory['resource_id']}/permissions"
    it.magpie.ok("POST", rights, {"permission": "write-deny-recursive"}, 201)
    body = json.loads(receiver.wait(path + "/create_group")[0].body)
    assert (body["group.id"], body["user.id"]) == (group["group_id"], "{{user.id}}")
    assert [body["service." + name] for name in ("name", "type", "public_url", "sync_type")] == [
        None, "thredds", None, None]
    assert body["permission"] == "write-deny-recursive"
    it.magpie.ok("DELETE", rights, {"permission": "write"})
    assert json.loads(receiver.wait(path + "/delete_group")[0].body) == body


# ---- events from elsewhere ----


def test_events_of_another_directory(hooked, receiver, path):
    payload = {"who": "{{user.name}}", "id": "{{user.id}}", "back": "{{callback_url}}", "p": "{{permission}}"}
    it = hooked(*(hook(action, receiver.url(f"{path}/{action}"), action, payload=payload)
                  for action in ("create_user", "delete_user", "update_user_status", "create_user_permission")))
    user = {"user.name": "elsewhere", "user.id": 99000, "user.email": "e@x.org"}
    answer = it.magpie.ok("POST", "/events", {"action": "create_user", "params": user}, 202)
    assert answer["event"]["action"] == "create_user"
    (request,) = receiver.wait(path + "/create_user")
    assert json.loads(request.body) == {
        "who": "elsewhere", "id": 99000, "back": "{{callback_url}}", "p": "{{permission}}"}
    message = it.api.ok("GET", f"/app/magpie/msg/{answer['event']['id']}")
    assert message["payload"] == {"action": "create_user", "params": user}
    it.magpie.ok("POST", "/events", {"action": "delete_user", "params": user}, 202)
    receiver.wait(path + "/delete_user")
    it.magpie.ok("POST", "/events", {"action": "update_user_status", "params": {
        "user.name": "x", "user.id": 1, "user.status": 4, "callback_url": "http://c"}}, 202)
    assert json.loads(receiver.wait(path + "/update_user_status")[0].body)["back"] == "http://c"
    permission = {"permission.name": "read", "permission.access": "deny", "permission.scope": "match"}
    it.magpie.ok("POST", "/events", {"action": "create_user_permission", "params": {
        "user.name": "anonymous", "resource.id": 4, "resource.type": "service", "resource.name": "s",
        **permission}}, 202)
    assert json.loads(receiver.wait(path + "/create_user_permission")[0].body) == {
        "who": "anonymous", "id": "{{user.id}}", "back": "{{callback_url}}", "p": "read-deny-match"}


def test_an_event_about_one_of_ours_marks_the_user(hooked, receiver, path):
    it = hooked()
    mine, other = it.magpie.user(), it.magpie.user()
    receiver.script(path, Reply(500))
    write(it.path, hook("a", receiver.url(path)))
    it.magpie.ok("POST", "/webhooks/reload")
    event = {"user.name": "another", "user.id": mine["user_id"], "user.email": "e@x.org"}
    it.magpie.ok("POST", "/events", {"action": "create_user", "params": event}, 202)
    wait_for(lambda: it.magpie.status(mine["user_name"]) == "WebhookError", 10)
    it.magpie.ok("POST", "/events", {"action": "create_user", "params": {**event, "user.id": 10**15}}, 202)
    receiver.wait(path, 2)
    assert it.magpie.status(other["user_name"]) == "OK"


@pytest.mark.parametrize("body, param", [
    ({}, "action"), ({"action": 5, "params": {}}, "action"), ({"action": "create", "params": {}}, "action"),
    ({"action": "create_user"}, "params"), ({"action": "create_user", "params": []}, "params"),
    ({"action": "create_user", "params": {}, "more": 1}, "body"),
    ({"action": "create_user", "params": {"user.id": 1, "user.email": "x"}}, "params.user.name"),
    ({"action": "create_user", "params": {"user.id": "1"}}, "params.user.id"),
    ({"action": "delete_user", "params": {"group.name": "x"}}, "params.group.name"),
])
def test_events_that_are_refused(events, body, param):
    events.magpie.fails("POST", "/events", body, 422, param)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    with Hooked(tmp_path_factory.mktemp("events"), []) as running:
        yield running


def test_events_that_are_no_json(events):
    for content in (b"", b"[]", b"{", b"\xff"):
        events.magpie.fails("POST", "/events", None, 422, content=content)


# ---- check ----


def test_check(tmp_path):
    file = tmp_path / "hooks.yml"
    file.write_text(DEPLOYED)
    done = run("magpie", "check", str(file), env={"HOOKS_URL": "http://h/p?token=secret"})
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "hook created: on create_user POST http://h/p application/json"
    assert json.loads(lines[1])["user_id"] == 7
    assert lines[-1] == "hooks: 2, errors: 0, warnings: 0"
    assert "secret" not in done.stdout
    answer = json.loads(run("magpie", "check", str(file), "--json", env={"HOOKS_URL": "http://h"}).stdout)
    assert answer["errors"] == answer["warnings"] == []
    assert [(row["name"], row["method"], row["contentType"]) for row in answer["hooks"]] == [
        ("created", "POST", "application/json"), ("permissions", "PUT", "application/json")]
    assert json.loads(answer["hooks"][0]["body"])["user_name"] == "ann"


def test_check_finds_everything(tmp_path):
    file = write(tmp_path / "a.json", hook("one", "ftp://h/x", format="yaml", payload="{{user.nam}}"),
                 hook("two", "http://h", "nothing"), {"name": "three"},
                 hook("four", "http://h", payload=[1], format="xml"))
    done = try_run("magpie", "check", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"warning: {file}:1: hook one: nothing can be sent to `url`: not a valid url: must start with "
        "http:// or https://",
        f'warning: {file}:1: hook one: "yaml" is no format: JSON is sent',
        f"warning: {file}:1: hook one: {{{{user.nam}}}} is no parameter: it is sent as it stands",
        f'error: {file}:1: hook two: "nothing" is no action; there are create_user, delete_user, '
        "update_user_status, create_user_permission, delete_user_permission, create_group_permission, "
        "delete_group_permission",
        f"error: {file}:1: hook three: `action` is missing",
        f"error: {file}:1: hook four: `payload` is a list, and the format text/xml takes a text only",
        "hooks: 1, errors: 3, warnings: 3",
    ]
    answer = try_run("magpie", "check", str(tmp_path), "--json")
    assert answer.returncode == 1
    body = json.loads(answer.stdout)
    assert len(body["errors"]) == len(body["warnings"]) == 3 and body["hooks"] == []
    # What only warns is no failure.
    write(file, hook("one", "ftp://h/x"))
    assert run("magpie", "check", str(file)).stdout.splitlines()[-1] == "hooks: 1, errors: 0, warnings: 1"


@pytest.mark.parametrize("url, shown", [
    ("http://h", "http://h/"), ("http://h?token=secret", "http://h/"), ("http://h/a b", "http://h/a%20b"),
    ("http://me:secret@h:81/x#secret", "http://h:81/x"), ("ftp://h/secret", "(not a url)")])
def test_check_shows_what_is_called_without_what_is_secret(tmp_path, url, shown):
    file = write(tmp_path / "a.json", hook("one", url))
    lines = run("magpie", "check", str(file)).stdout.splitlines()
    assert f"hook one: on create_user POST {shown} application/json" in lines
    assert "secret" not in "".join(lines)


def test_check_warns_of_a_variable_that_is_not_there(tmp_path):
    file = write(tmp_path / "a.json", hook("one", "http://${POSTHORN_NO_SUCH_THING}/x"),
                 hook("two", "http://h/?$filter=a"))
    assert run("magpie", "check", str(file)).stdout.splitlines()[0] == (
        f"warning: {file}:1: hook one: `url` has a variable that is not in the environment")
    assert run("magpie", "check", str(file)).stdout.splitlines()[-1] == "hooks: 2, errors: 0, warnings: 1"


def test_check_warns_of_what_is_no_token(tmp_path):
    file = write(tmp_path / "a.json", hook("one", "http://h/{{user.name}}", payload="{{ user.id }}"))
    assert run("magpie", "check", str(file)).stdout.splitlines()[:2] == [
        f"warning: {file}:1: hook one: nothing is replaced in `url`: {{{{ is sent as it stands",
        f"warning: {file}:1: hook one: {{{{ user.id }}}} is no parameter: there may be no spaces within the "
        "braces"]


def test_a_pipe_is_read_and_nobody_waits_for_its_writer(hooked, tmp_path, receiver, path):
    """One without a writer, one whose writer says nothing, and one that is written to."""
    it = hooked(hook("one", receiver.url(path)))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    it.path.unlink()
    os.link(pipe, it.path)
    answer = it.magpie.request("POST", "/webhooks/reload")
    assert answer.status_code == 422 and answer.json()["errors"] == [f"error: {it.path}:1: there is no document"]
    silent = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = it.magpie.request("POST", "/webhooks/reload")
        assert answer.status_code == 422 and answer.json()["errors"][0].startswith(
            f"error: {it.path}: cannot be read: ")
    finally:
        os.close(silent)
    assert len(it.magpie.ok("GET", "/webhooks")["webhooks"]) == 1
    text = json.dumps({"webhooks": [hook("two", "http://h")]})
    done = subprocess.run([BIN, "magpie", "check", "/dev/stdin"], input=text, text=True, timeout=net(30),
                          capture_output=True, check=True)
    assert done.stdout.startswith("hook two: ")


def test_check_wants_a_path_that_is_there(tmp_path):
    done = try_run("magpie", "check", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        f"error: {tmp_path / 'nothing'}: cannot be read: No such file or directory")
    assert try_run("magpie", "check").returncode == 2
    assert try_run("magpie").returncode == 2
    assert try_run("magpie", "render", "x").returncode == 2
    file = write(tmp_path / unique("hooks"), hook("a", "http://h"))
    env = {"POSTHORN_MAGPIE_CONFIG_PATH": str(file)}
    assert "hooks: 1," in run("magpie", "check", env=env).stdout


def test_the_application_of_the_hooks_stays(tmp_path, receiver, path):
    """Deleted through the native API it would take the hooks along until the next reload."""
    file = write(tmp_path / "hooks.json", hook("one", receiver.url(path)))
    with Server({"magpie.config_path": file}) as server:
        api = server.api()
        for method, body in (("DELETE", None), ("PATCH", {"uid": "other"}), ("PATCH", {"uid": None}),
                             ("PUT", {"name": "x", "uid": "other"}), ("PUT", {"name": "x"})):
            answer = api.request(method, "/app/magpie", body)
            assert answer.status_code == 409 and "magpie surface" in answer.text, (method, body, answer.text)
        api.ok("PATCH", "/app/magpie", {"name": "Hooks", "uid": "magpie"})
        assert [row["uid"] for row in api.ok("GET", "/app")["data"]] == ["magpie"]
        magpie = Magpie(server, make_token(server, "root"))
        magpie.user()
        receiver.wait(path)


def test_an_application_of_that_name_is_anybodys_without_hooks(server, api):
    api.ok("POST", "/app", {"name": "x", "uid": "dbt.77"}, 201)
    assert api.delete("/app/dbt.77").status_code == 204
    assert api.get("/app/dbt.77").status_code == 404
