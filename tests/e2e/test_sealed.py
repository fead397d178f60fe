# SPDX-License-Identifier: Apache-2.0
"""Secrets and payloads sealed at rest: nothing of them is left in the store, and of secrets in the logs or the lists;
the master key comes, changes, and must be there."""

import base64
import os
import re
import resource
import sqlite3
from pathlib import Path

import httpx
import pytest
from harness import signatures
from harness.api import SUCCESS, unique
from harness.receiver import Reply
from harness.server import Server, run
from harness.wait import net, wait_for

SANITIZED = bool(os.environ.get("POSTHORN_SANITIZED"))
SEALED = re.compile(r'msg="secrets sealed" rows=(\d+)')
BEARER = "hunter2-is-a-bearer-token"


@pytest.fixture
def key_file(tmp_path):
    """Makes a file with a new master key in one of its forms."""

    def make(form="raw"):
        key = os.urandom(32)
        text = {"raw": key, "hex": key.hex().encode() + b"\n", "base64": base64.b64encode(key) + b"\n"}[form]
        path = tmp_path / unique("master")
        path.touch(mode=0o600)
        path.write_bytes(text)
        return path

    return make


def forms(secret):
    """Every way in which a secret might be written down."""
    text = secret.partition("_")[2] if secret.startswith("wh") else secret
    raw = base64.b64decode(text) if secret.startswith("wh") else secret.encode()
    if secret.startswith("whsk_"):
        raw = raw[:32]  # the other half is public
        text = text[:40]
    return {text.encode(), raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)[:-4]}


def found(haystack, secrets):
    return {secret for secret in secrets for form in forms(secret) if form in haystack}


def files_of(server):
    return {path.name: path.read_bytes() for path in server.data.iterdir() if path.is_file()}


def in_files(server, secrets):
    """Where in the data directory the secrets stand, by the names of the files."""
    return {name: hits for name, content in files_of(server).items() if (hits := found(content, secrets))}


def wait_sealed(server):
    return int(wait_for(lambda: SEALED.findall(server.log()), 15, "the secrets to be sealed")[-1])


def make_endpoints(api, url):
    """An application whose endpoints have known secrets of all kinds: (app, endpoints, secrets)."""
    app = api.new_app()
    first = signatures.new_symmetric(fill=b"first symmetric key ")
    second, _ = signatures.new_asymmetric(fill=99)
    endpoints = [api.new_endpoint(app, url, secret=secret) for secret in (first, second)]
    place = f"/app/{app['id']}/endpoint/{endpoints[0]['id']}"
    api.ok("PATCH", f"{place}/headers", {"headers": {"Authorization": f"Bearer {BEARER}", "X-Plain": "x"}}, 204)
    rotated = signatures.new_symmetric(fill=b"the key after it ")
    body = {"key": rotated}
    kept = api.ok("POST", f"{place}/secret/rotate", body, 200, headers={"idempotency-key": "rotate-1"})
    assert kept["key"] == rotated
    return app, endpoints, [first, second, rotated, BEARER]


def check_delivery(api, receiver, path, app, endpoints, secrets):
    """A message arrives at both endpoints with the right signatures and headers."""
    message = api.send(app, {"n": 1})
    for endpoint in endpoints:
        assert api.wait_final(app, message, endpoint)[-1]["status"] == SUCCESS
    requests = [request for request in receiver.requests(path) if request.message_id == message["id"]]
    public = signatures.new_asymmetric(fill=99)[1]
    symmetric = next(r for r in requests if signatures.verifies(secrets[2], r))
    assert signatures.verifies(secrets[0], symmetric)  # within the overlap of the rotation
    assert symmetric.header("Authorization") == f"Bearer {BEARER}"
    assert any(signatures.verifies(public, r) for r in requests)
    return message


def everything_listed(server, api, app, endpoints, message):
    """What the lists and objects of the API and the metrics say, without the answers that are there to give secrets."""
    place = f"/app/{app['id']}"
    paths = ["/app", place, f"{place}/endpoint", f"{place}/msg", f"{place}/msg/{message['id']}"]
    paths += [f"{place}/attempt/msg/{message['id']}", f"{place}/msg/{message['id']}/endpoint", "/event-type"]
    for endpoint in endpoints:
        paths += [f"{place}/endpoint/{endpoint['id']}", f"{place}/endpoint/{endpoint['id']}/headers"]
        paths += [f"{place}/attempt/endpoint/{endpoint['id']}", f"{place}/endpoint/{endpoint['id']}/msg"]
    answers = [api.get(path) for path in paths] + [httpx.get(server.url + "/metrics", trust_env=False, timeout=net(5))]
    assert all(answer.status_code == 200 for answer in answers)
    return b"".join(answer.content + repr(answer.headers).encode() for answer in answers)


@pytest.mark.smoke
def test_nothing_secret_is_left(receiver, path, key_file):
    """Logs, lists, the store and its log, while the server runs, after a crash and after its end."""
    settings = {"master_key_file": key_file(), "log_level": "debug"}
    receiver.script(path, Reply(500), Reply(200))
    with Server(settings) as server:
        api = server.api()
        assert wait_sealed(server) == 0
        app, endpoints, secrets = make_endpoints(api, receiver.url(path))
        generated = api.new_endpoint(app, receiver.url("/nowhere"), disabled=True)
        secrets.append(api.secret(app, generated))
        message = check_delivery(api, receiver, path, app, endpoints, secrets)
        assert api.secret(app, endpoints[0]) == secrets[2]
        listed = everything_listed(server, api, app, endpoints, message)
        assert found(listed, secrets) == set()
        assert set(files_of(server)) >= {"posthorn.db", "posthorn.db-wal"}
        assert in_files(server, secrets) == {}

        # The kept answer is given again, from the store.
        place = f"/app/{app['id']}/endpoint/{endpoints[0]['id']}"
        body = {"key": signatures.new_symmetric(fill=b"another")}
        again = api.ok("POST", f"{place}/secret/rotate", body, 200, headers={"idempotency-key": "rotate-1"})
        assert again["key"] == secrets[2]

        server.kill()
        server.start()
        check_delivery(api, receiver, path, app, endpoints, secrets)
        assert in_files(server, secrets) == {}
        server.stop()
        assert in_files(server, secrets) == {}
        assert found(server.log().encode() + "".join(server.stdout).encode(), secrets) == set()
        key = settings["master_key_file"].read_bytes()
        assert all(key not in content for content in files_of(server).values())
        env = {"POSTHORN_MASTER_KEY_FILE": str(settings["master_key_file"])}
        assert run("key", "check", data=server.data, env=env).stdout == (
            "the master key opens 1 data keys\n8 values are sealed and open\n0 are in plain\n0 cannot be opened\n"
        )


@pytest.mark.smoke
def test_turning_it_on_seals_what_is_there(receiver, path, key_file):
    key = key_file("base64")
    env = {"POSTHORN_MASTER_KEY_FILE": str(key)}
    with Server() as server:
        api = server.api()
        app, endpoints, secrets = make_endpoints(api, receiver.url(path))
        check_delivery(api, receiver, path, app, endpoints, secrets)
        assert set().union(*in_files(server, secrets).values()) == set(secrets)  # the search finds them
        for number in range(300):
            secret = signatures.new_symmetric(fill=b"filler%03d " % number)
            api.new_endpoint(app, receiver.url("/unused"), disabled=True, secret=secret)
        server.stop()
        assert run("key", "clean", data=server.data, env=env, check=False).returncode == 1
        plain = run("key", "check", data=server.data, env=env).stdout
        assert "\n306 are in plain\n" in plain

        server.settings["master_key_file"] = key
        server.start()
        assert wait_sealed(server) == 306  # 303 secrets, one row of headers, one kept answer, one payload
        check_delivery(api, receiver, path, app, endpoints, secrets)
        assert api.secret(app, endpoints[0]) == secrets[2]
        busy = run("key", "clean", data=server.data, env=env, check=False)
        assert busy.returncode == 1 and "another server is running" in busy.stderr
        server.stop()

        assert "0 are in plain" in run("key", "check", data=server.data, env=env).stdout
        run("key", "clean", data=server.data, env=env)
        filler = [signatures.new_symmetric(fill=b"filler%03d " % number) for number in range(300)]
        assert in_files(server, secrets + filler) == {}
        server.start()
        check_delivery(api, receiver, path, app, endpoints, secrets)
        assert len(SEALED.findall(server.log())) == 1  # it is known to be done
        again = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoints[0]['id']}/secret/rotate", {}, 200,
                       headers={"idempotency-key": "rotate-1"})
        assert again["key"] == secrets[2]


def refused(server, **settings):
    """How a start with other settings ends: its words."""
    words = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = run("serve", "--listen", "127.0.0.1:0", *words, data=server.data, check=False)
    assert done.returncode == 1 and "ready" not in done.stdout
    return done.stderr


@pytest.mark.smoke
def test_a_sealed_store_does_not_start_without_its_key(key_file):
    key = key_file("hex")
    with Server({"master_key_file": key}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, "https://receiver.example/")
        secret = api.secret(app, endpoint)
        server.stop()
        assert "set master_key_file" in refused(server)
        assert "this is not the master key of the store" in refused(server, master_key_file=key_file())
        assert "could not open" in refused(server, master_key_file="/nowhere/key")
        short = key_file()
        short.write_bytes(b"short")
        assert "a master key is 32 random bytes" in refused(server, master_key_file=short)
        key.chmod(0o644)
        assert "run chmod 600" in refused(server, master_key_file=key)
        key.chmod(0o440)
        server.start()
        assert api.secret(app, endpoint) == secret
        good = run("doctor", data=server.data, env={"POSTHORN_MASTER_KEY_FILE": str(key)})
        assert "ok    master key opens the store\n" in good.stdout
        bad = run("doctor", data=server.data, check=False)
        assert bad.returncode == 1 and "FAIL  master key opens the store: " in bad.stdout


def test_the_master_key_changes(key_file):
    old, new = key_file("hex"), key_file("raw")
    env = {"POSTHORN_MASTER_KEY_FILE": str(old)}
    words = ["key", "rotate", "--new-key-file", str(new)]
    with Server({"master_key_file": old}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, "https://receiver.example/")
        secret = api.secret(app, endpoint)
        busy = run(*words, data=server.data, env=env, check=False)
        assert busy.returncode == 1 and "another server is running" in busy.stderr
        server.stop()
        without = run(*words, data=server.data, check=False)
        assert without.returncode == 1 and "no master key is configured" in without.stderr
        assert str(new) in run(*words, data=server.data, env=env).stdout
        again = run(*words, data=server.data, env=env, check=False)
        assert again.returncode == 1 and "this is not the master key" in again.stderr
        assert "this is not the master key" in refused(server, master_key_file=old)
        server.settings["master_key_file"] = new
        server.start()
        assert api.secret(app, endpoint) == secret
        other = api.new_endpoint(app, "https://receiver.example/")
        assert api.secret(app, other)
        check = run("key", "check", data=server.data, env={"POSTHORN_MASTER_KEY_FILE": str(new)}).stdout
        assert check.splitlines()[:2] == ["the master key opens 2 data keys", "2 values are sealed and open"]


MARKER = "payload-hunter2-is-a-marker"
RAW = "raw-hunter2-is-a-marker"


def with_marker(server):
    """The files of the data directory that have a marker of a payload in them."""
    return {name for name, content in files_of(server).items() if MARKER.encode() in content or RAW.encode() in content}


def bodies(receiver, path):
    return sorted(request.body for request in receiver.requests(path))


@pytest.mark.smoke
def test_payloads_are_sealed(receiver, path, key_file):
    """Delivered at once, after retries from the store, by hand, by a replay; shown, explained, followed; and sealed."""
    key = key_file()
    receiver.script(path, Reply(500), Reply(500), Reply(500), Reply(204))
    with Server({"master_key_file": key}) as server:
        api = server.api()
        app = api.new_app()
        root = f"/app/{app['id']}"
        sink = api.ok("POST", f"{root}/sink", {"type": "poller"}, 201)
        endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[0.05, 0.05, 0.05, 0.05])
        message = api.send(app, {"word": MARKER})
        raw = api.send(app, {"word": MARKER}, transformationsParams={"rawPayload": RAW})
        for each in (message, raw):
            api.wait_explained(app, each, endpoint, "delivered", None)
        assert with_marker(server) == set()
        assert set(files_of(server)) >= {"posthorn.db", "posthorn.db-wal"}

        server.kill()
        server.start()
        late = api.new_endpoint(app, receiver.url(path + "/late"))
        for each in (message, raw):
            api.ok("POST", f"{root}/msg/{each['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
        api.ok("POST", f"{root}/endpoint/{late['id']}/replay-missing", {"since": message["timestamp"]}, 202)
        wait_for(lambda: len(bodies(receiver, path + "/late")) == 2, 15, "the replay")
        text = b'{"word": "%s"}' % MARKER.encode()
        assert bodies(receiver, path + "/late") == sorted([RAW.encode(), text])
        wait_for(lambda: len(bodies(receiver, path)) >= 7, 15, "the resent ones")
        assert set(bodies(receiver, path)) == {RAW.encode(), text}
        assert [row["payload"] for row in api.ok("GET", f"{root}/msg")["data"]] == [{"word": MARKER}] * 2
        assert api.ok("GET", f"{root}/msg/{raw['id']}")["payload"] == {"word": MARKER}
        assert api.ok("GET", f"{root}/msg/{raw['id']}/raw") == {"payload": RAW}
        polled = api.ok("GET", f"{root}/poller/{sink['id']}")["data"]
        assert [row["payload"] for row in polled] == [{"word": MARKER}] * 2
        assert with_marker(server) == set()
        server.stop()
        assert with_marker(server) == set() and MARKER not in server.log() and RAW not in server.log()


def sealed_and_plain(server):
    """How many payloads are sealed and how many are not, as another process sees the store."""
    store = sqlite3.connect(f"file:{server.data / 'posthorn.db'}?mode=ro", uri=True)
    try:
        return store.execute("SELECT count(sealed_body), sum(length(body) > 0) FROM payload").fetchone()
    finally:
        store.close()


def test_payloads_from_before_are_sealed_through_a_crash(receiver, path, key_file):
    key = key_file()
    env = {"POSTHORN_MASTER_KEY_FILE": str(key)}
    with Server() as server:
        api = server.api()
        app = api.new_app()
        root = f"/app/{app['id']}"
        for batch in range(4):
            rows = [{"eventType": "a", "payload": {"word": f"{MARKER}-{batch}-{row}"}} for row in range(1000)]
            api.ok("POST", f"{root}/msg/batch", {"messages": rows}, 202)
        api.send(app, {"word": "last"}, transformationsParams={"rawPayload": RAW})
        server.stop()
        assert with_marker(server) and sealed_and_plain(server) == (0, 4001)

        server.settings["master_key_file"] = key
        server.start()
        wait_for(lambda: sealed_and_plain(server)[0] > 0, 15, "the walk to begin")
        server.kill()
        sealed, plain = sealed_and_plain(server)
        assert sealed > 0 and plain > 0 and sealed + plain == 4001
        server.start()
        api.send(app, {"word": "in between"})
        assert wait_sealed(server) == plain + 1  # and the raw body
        assert sealed_and_plain(server) == (4002, 0)
        endpoint = api.new_endpoint(app, receiver.url(path))
        words, following = [], {"limit": 250}
        while True:
            page = api.ok("GET", f"{root}/msg", params=following)
            words += [row["payload"]["word"] for row in page["data"]]
            if page["done"]:
                break
            following["iterator"] = page["iterator"]
        assert sorted(words) == sorted(
            [f"{MARKER}-{batch}-{row}" for batch in range(4) for row in range(1000)] + ["last", "in between"]
        )
        last = api.ok("GET", f"{root}/msg", params={"limit": 2})["data"][1]
        api.ok("POST", f"{root}/msg/{last['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
        wait_for(lambda: bodies(receiver, path) == [RAW.encode()], 15, "the resent one")
        server.stop()
        said = run("key", "check", data=server.data, env=env).stdout
        assert "\n0 are in plain\n0 cannot be opened\n" in said
        run("key", "clean", data=server.data, env=env)
        assert with_marker(server) == set()


def test_a_payload_that_cannot_be_opened(receiver, path, key_file):
    """Its attempt fails in words and its own answer is an error; all others go on."""
    key = key_file()
    with Server({"master_key_file": key}) as server:
        api = server.api()
        app = api.new_app()
        root = f"/app/{app['id']}"
        bad, good = api.send(app, {"n": 1}), api.send(app, {"n": 2})
        server.stop()
        with sqlite3.connect(server.data / "posthorn.db") as store:
            store.execute("UPDATE payload SET sealed_body = substr(sealed_body, 1, length(sealed_body) - 16)"
                          " || zeroblob(16) WHERE message_id = (SELECT min(message_id) FROM payload)")
        store.close()
        server.start()
        endpoint = api.new_endpoint(app, receiver.url(path))
        for each in (bad, good):
            api.ok("POST", f"{root}/msg/{each['id']}/endpoint/{endpoint['id']}/resend", {}, 202)
        wait_for(lambda: bodies(receiver, path) == [b'{"n": 2}'], 15, "the good one")
        (attempt,) = api.wait_attempts(app, bad)
        assert attempt["status"] != SUCCESS and "cannot be opened" in attempt["response"]
        assert api.get(f"{root}/msg/{bad['id']}/raw").status_code == 500
        assert "the sealed body of payload" in server.log()
        listed = {row["id"]: row["payload"] for row in api.ok("GET", f"{root}/msg")["data"]}
        assert listed == {bad["id"]: {"expired": True}, good["id"]: {"n": 2}}
        server.stop()
        check = run("key", "check", data=server.data, env={"POSTHORN_MASTER_KEY_FILE": str(key)}, check=False)
        assert check.returncode == 1 and "the sealed body of payload" in check.stderr
        assert "\n1 cannot be opened\n" in check.stdout


@pytest.mark.parametrize("words", [[], ["show"], ["check", "more"], ["rotate"], ["clean", "--new-key-file", "x"]])
def test_wrong_use(words, tmp_path):
    done = run("key", *words, check=False, env={"POSTHORN_DATA": str(tmp_path)})
    assert done.returncode == 2 and done.stderr.startswith("posthorn: ") and not done.stdout


def core_limit(server):
    text = Path(f"/proc/{server.pid}/limits").read_text()
    return re.search(r"^Max core file size\s+(\S+)\s+(\S+)", text, re.MULTILINE).groups()


@pytest.mark.skipif(SANITIZED, reason="the leak check of a sanitizer needs to attach to itself")
def test_a_crash_leaves_no_image():
    with Server() as server:
        assert core_limit(server) == ("0", "0")
    with Server({"core_dumps": "true"}) as server:
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        assert core_limit(server) == tuple("unlimited" if each == resource.RLIM_INFINITY else str(each)
                                           for each in limits)
