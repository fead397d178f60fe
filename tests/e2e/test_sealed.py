# SPDX-License-Identifier: Apache-2.0
"""Secrets sealed at rest: nothing of them is left in the store, the logs or the lists; the master key comes, changes,
and must be there."""

import base64
import os
import re
import resource
from pathlib import Path

import httpx
import pytest
from harness import signatures
from harness.api import SUCCESS, unique
from harness.receiver import Reply
from harness.server import Server, run
from harness.wait import wait_for

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
    answers = [api.get(path) for path in paths] + [httpx.get(server.url + "/metrics", trust_env=False)]
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
            "the master key opens 1 data keys\n6 secrets are sealed and open\n0 are in plain\n0 cannot be opened\n"
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
        assert "\n305 are in plain\n" in plain

        server.settings["master_key_file"] = key
        server.start()
        assert wait_sealed(server) == 305  # 303 secrets, one row of headers, one kept answer
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
        assert check.splitlines()[:2] == ["the master key opens 2 data keys", "2 secrets are sealed and open"]


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
