# SPDX-License-Identifier: Apache-2.0
"""The command line: each command used well and badly, exit codes (0 done, 1 failed, 2 wrong usage),
and what goes to stdout and what to stderr."""

import hashlib
import hmac
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
from harness import jwt, signatures
from harness.api import MSG_ID, unique
from harness.server import BIN, DEFAULTS, Server, clean_environment, run
from harness.wait import SANITIZED, SLOWNESS, wait_for

COMMANDS = ["serve", "jwt", "token", "send", "listen", "verify", "doctor", "migrate", "version"]
SECRET = signatures.new_symmetric()
NOBODY = 65534


@pytest.fixture
def data(tmp_path):
    """A data directory with an up-to-date, empty store."""
    run("migrate", data=tmp_path / "data")
    return tmp_path / "data"


def try_run(*args, **kwargs):
    kwargs.setdefault("timeout", 5)
    return run(*args, check=False, **kwargs)


def is_usage_error(done, *words):
    """Wrong usage: exit code 2, nothing on stdout, one line that says what was wrong."""
    assert done.returncode == 2, f"{done.returncode}: {done.stdout!r} {done.stderr!r}"
    assert done.stdout == ""
    return says(done, *words)


def is_failure(done, *words):
    """Right usage that did not work out: exit code 1, the reason on stderr."""
    assert done.returncode == 1, f"{done.returncode}: {done.stdout!r} {done.stderr!r}"
    assert done.stdout == ""
    return says(done, *words)


def says(done, *words):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("posthorn: ")]
    for word in words:
        assert str(word) in line, f"{word!r} is not in {line!r}"
    return line


# ---- help, version, and words that are none ----


@pytest.mark.smoke
@pytest.mark.parametrize("words", [["help"], ["--help"]])
def test_help_lists_every_command(words):
    done = run(*words)
    assert done.stderr == ""
    listed = re.findall(r"^  posthorn (\w+)", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    assert "help options" in done.stdout


@pytest.mark.smoke
def test_no_command_is_wrong_usage():
    done = try_run()
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == run("help").stdout


@pytest.mark.smoke
def test_version():
    done = run("version")
    assert re.fullmatch(r"posthorn \d+\.\d+\.\d+\S*\n", done.stdout) and done.stderr == ""


@pytest.mark.smoke
@pytest.mark.parametrize("word", ["nope", "-x", "", "Serve"])
def test_an_unknown_command(word):
    is_usage_error(try_run(word), f'"{word}"', "help")


@pytest.mark.smoke
def test_no_help_for_an_unknown_word():
    is_usage_error(try_run("help", "nope"), '"nope"')


@pytest.mark.smoke
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "version"])
def test_an_unknown_flag(command, data):
    is_usage_error(try_run(command, "--nope", data=data), "--nope", "help")


GOOD_USE = {
    "serve": ["--listen", "127.0.0.1:0"],
    "jwt": ["generate", "org_" + "0" * 27],
    "token": ["create", "--surface", "native"],
    "send": ["--app", "a", "--type", "t", "--payload", "{}", "--url", "http://127.0.0.1:1"],
    "listen": ["--listen", "127.0.0.1:0"],
    "verify": ["--secret", SECRET, "--id", "a", "--timestamp", "1", "--signature", "v1,a"],
    "doctor": [],
    "migrate": [],
}


@pytest.mark.smoke
@pytest.mark.parametrize("command", GOOD_USE)
def test_an_argument_too_many(command, data):
    """A forgotten dash must not make a command do something else than what was meant."""
    arguments = GOOD_USE[command] + ["surplus"]
    is_usage_error(try_run(command, *arguments, data=data, input="", timeout=3))


@pytest.mark.smoke
def test_help_and_version_take_no_more():
    is_usage_error(try_run("version", "surplus"))
    is_usage_error(try_run("help", "options", "surplus"))


VALUE_FLAGS = {
    "serve": ["--data", "--listen", "--config", "--set", "--max-in-flight"],
    "jwt": ["--data"],
    "token": ["--surface", "--app", "--expires", "--name", "--data"],
    "send": ["--url", "--token", "--app", "--type", "--payload", "--file", "--event-id"],
    "listen": ["--secret", "--status", "--count", "--listen"],
    "verify": ["--secret", "--id", "--timestamp", "--signature", "--file", "--tolerance"],
    "doctor": ["--data"],
    "migrate": ["--data"],
}


@pytest.mark.smoke
@pytest.mark.parametrize(
    "command, flag", [(name, flag) for name, flags in VALUE_FLAGS.items() for flag in flags]
)
def test_a_missing_value(command, flag):
    is_usage_error(try_run(command, flag), flag, "value")


# ---- options: names, ranges, sources ----


def described_options():
    """(key, what is allowed) of every option that `help options` describes."""
    text = run("help", "options").stdout
    blocks = re.findall(r"^  ([a-z][a-z_.]*)(?: \(default .*\))?\n((?:      .*\n)+)", text, re.M)
    return [(key, re.search(r"Allowed: (.*)", words).group(1)) for key, words in blocks]


def ranges():
    for key, allowed in described_options():
        match = re.match(r"([-\d.e]+) to ([-\d.e]+) \w+", allowed)
        if match:
            yield key, float(match.group(1)), float(match.group(2))


@pytest.mark.smoke
def test_the_options_that_users_rely_on_are_described():
    keys = {key for key, _ in described_options()}
    wanted = {"store", "retry_schedule", "delivery_timeout", "allow_subnets", "jwt_secret"}
    assert wanted | {"retention_days", "data", "listen", "config"} <= keys


def test_every_range_is_kept_and_said(data):
    """Each option with a range, in each way of giving it: out of range is refused by name."""
    seen = 0
    for key, least, most in ranges():
        flag = "--" + re.sub("[._]", "-", key)
        variable = "POSTHORN_" + key.replace(".", "_").upper()
        value = str(int(most) * 2)
        assert most > least and least >= 0
        is_usage_error(try_run("migrate", flag, value, data=data), key, value, "out of range")
        is_usage_error(try_run("migrate", f"{flag}={value}", data=data), key, "out of range")
        is_usage_error(try_run("migrate", flag, "-1", data=data), key, "-1", "out of range")
        is_usage_error(try_run("migrate", "--set", f"{key}={value}", data=data), "--set", key)
        is_usage_error(try_run("migrate", data=data, env={variable: value}), variable, key)
        is_usage_error(try_run("migrate", flag, "many", data=data), key, '"many"')
        assert run("migrate", flag, str(int(most)), data=data).returncode == 0
        seen += 1
    assert seen >= 15


BAD_VALUES = {
    "log_level": "loud",
    "log_format": "xml",
    "disable_on_gone": "perhaps",
    "allow_subnets": "127.0.0.0/33",
    "retry_schedule": "1,-1",
    "listen": "localhost",
    "store": "mysql://host/base",
    "window_bytes_max": "12 apples",
}


@pytest.mark.smoke
@pytest.mark.parametrize("key", BAD_VALUES)
def test_a_bad_value(key, data):
    done = try_run("migrate", "--set", f"{key}={BAD_VALUES[key]}", data=data)
    is_usage_error(done, f"--set: {key}: ", "allowed: ")


@pytest.mark.smoke
@pytest.mark.parametrize("word", ["no_such_option=1", "=1", "Data=x"])
def test_set_of_an_unknown_option(word, data):
    is_usage_error(try_run("migrate", "--set", word, data=data), "unknown option")


@pytest.mark.smoke
def test_set_without_a_value(data):
    is_usage_error(try_run("migrate", "--set", "log_level", data=data), "KEY=VALUE", '"log_level"')


SECRET_STORE = "mysql://user:hunter2@host/base"


@pytest.mark.smoke
@pytest.mark.parametrize("form", ["--store=V", "--store V", "--set store=V", "environment", "file"])
def test_a_secret_is_not_shown_in_an_error(form, data, tmp_path):
    """A store address holds a password; the terminal's log must not get it."""
    words, env = [], {}
    if form == "environment":
        env = {"POSTHORN_STORE": SECRET_STORE}
    elif form == "file":
        (tmp_path / "c.yaml").write_text(f"store: {SECRET_STORE}\n")
        words = ["--config", str(tmp_path / "c.yaml")]
    else:
        words = form.replace("V", SECRET_STORE).split(" ")
    line = is_usage_error(try_run("migrate", *words, data=data, env=env), "store")
    assert "hunter2" not in line


def winning_secret(data, words, env):
    """Which jwt_secret signed what `jwt generate` prints: that tells which source won."""
    token = run("jwt", "generate", *words, data=data, env=env).stdout.split(": ")[1].strip()
    text, _, signature = token.rpartition(".")
    for name in ("flag", "set", "environment", "file"):
        digest = hmac.new(f"secret of the {name}".encode(), text.encode(), hashlib.sha256).digest()
        if jwt._part(digest).decode() == signature:
            return name
    return "made"


@pytest.mark.smoke
def test_later_sources_win(data, tmp_path):
    """Defaults, then the file, then the environment, then flags: in all combinations."""
    config = tmp_path / "posthorn.yaml"
    config.write_text("jwt_secret: secret of the file\n")
    for has_file, has_variable, has_set in itertools.product([False, True], repeat=3):
        words = ["--config", str(config)] if has_file else []
        words = ["--set", "jwt_secret=secret of the set", *words] if has_set else words
        env = {"POSTHORN_JWT_SECRET": "secret of the environment"} if has_variable else {}
        wanted = "set" if has_set else "environment" if has_variable else "file"
        if not (has_file or has_variable or has_set):
            wanted = "made"
        assert winning_secret(data, words, env) == wanted
    # The flag of an option and --set are one source; there the last one wins.
    flag, pair = ["--jwt-secret", "secret of the flag"], ["--set", "jwt_secret=secret of the set"]
    assert winning_secret(data, flag + pair, {}) == "set"
    assert winning_secret(data, pair + flag, {}) == "flag"
    assert winning_secret(data, [], {"POSTHORN_CONFIG": str(config)}) == "file"


@pytest.mark.smoke
@pytest.mark.parametrize(
    "text, words",
    [
        ("http:\n  idle_timeout: 0\n", ["c.yaml:2:", "http.idle_timeout", "out of range"]),
        ("http.idle_timeout: 0\n", ["c.yaml:1:", "http.idle_timeout", "out of range"]),
        ("\nno_such: 1\n", ["c.yaml:2:", "no_such", "unknown"]),
        ("a: [b\n", ["c.yaml:", "YAML"]),
        ("- 1\n", ["c.yaml:1:", "map"]),
        ("config: other.yaml\n", ["c.yaml:1:", "config"]),
        ("log_level: warn\nlog_level: info\n", ["c.yaml:2:", "log_level", "twice"]),
        ("log_level: [warn, info]\n", ["c.yaml:1", "log_level", "one value"]),
    ],
)
def test_a_bad_file(text, words, data, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    done = try_run("migrate", "--config", str(tmp_path / "c.yaml"), data=data)
    is_usage_error(done, *words)


@pytest.mark.smoke
def test_a_missing_file(data, tmp_path):
    path = tmp_path / "missing.yaml"
    is_usage_error(try_run("migrate", "--config", str(path), data=data), path, "No such file")


def test_a_good_file(tmp_path):
    """Lists, nested keys and null; the listener and the guard of the server follow it."""
    config = tmp_path / "c.yaml"
    config.write_text(
        "# all of it\nallow_subnets: [127.0.0.0/8, '::1/128']\nlog_format: json\nlog_level: ~\n"
        "endpoint_https_only: yes\nhttp:\n  idle_timeout: 30\n"
    )
    with Server(args=["--config", str(config)], defaults={}) as server:
        api = server.api()
        app = api.new_app()
        response = api.post(f"/app/{app['id']}/endpoint", {"url": "http://127.0.0.1:9/"})
        assert response.status_code == 422, "endpoint_https_only came from the file"
        assert all(json.loads(line)["level"] for line in server.log().splitlines())


def test_an_unknown_variable_is_warned_about():
    """A misspelt variable changes nothing; without a word nobody would notice."""
    with Server(env={"POSTHORN_RETRY_SHEDULE": "1"}) as server:
        wait_for(lambda: "POSTHORN_RETRY_SHEDULE" in server.log(), 2, "a warning that names it")


def test_defaults_of_the_data_directory(tmp_path):
    done = subprocess.run(
        [BIN, "migrate"], cwd=tmp_path, env=clean_environment(), capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var" / "posthorn.db").exists()
    assert oct((tmp_path / "var").stat().st_mode & 0o777) == "0o700"


# ---- serve ----


@pytest.mark.smoke
def test_the_ready_line_is_alone_on_stdout():
    with Server() as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d{0,4}", server.url)
        assert server.api().get("/health/ping").status_code == 204
        server.stop()
        assert server.stdout == [f"ready {server.url}"]
        for line in server.log().splitlines():
            assert re.match(r'time=\S+Z level=\w+ msg=("|\w)', line), line


def test_ready_on_ipv6():
    server = Server()
    server._listen = "[::1]:0"
    with server:
        assert re.fullmatch(r"http://\[::1\]:[1-9]\d{0,4}", server.url)
        assert server.api().get("/health/ping").status_code == 204


def test_a_log_of_json_lines():
    with Server({"log_format": "json"}) as server:
        server.stop()
        rows = [json.loads(line) for line in server.log().splitlines()]
        assert {"server started", "server stopped"} <= {row["msg"] for row in rows}
        assert all({"time", "level", "msg"} <= set(row) for row in rows)


@pytest.mark.smoke
def test_a_second_server_is_refused_in_words():
    with Server() as first:
        start = time.monotonic()
        done = try_run("serve", "--listen", "127.0.0.1:0", data=first.data, timeout=10)
        assert time.monotonic() - start < 3 * SLOWNESS
        is_failure(done, "another server", first.data)
        assert first.api().get("/app").status_code == 200
        address = (first.data / "address").read_text().strip()
        assert address == first.url, "the second one must leave the first one's address alone"


@pytest.mark.smoke
def test_a_port_in_use(data):
    with Server() as server:
        port = server.url.rpartition(":")[2]
        done = try_run("serve", "--listen", f"127.0.0.1:{port}", data=data)
        is_failure(done, f"127.0.0.1:{port}", "in use")


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["serve", "migrate", "jwt", "token"])
def test_data_is_a_file(command, tmp_path):
    (tmp_path / "data").write_text("not a directory")
    words = {"serve": ["--listen", "127.0.0.1:0"], "jwt": ["generate"], "token": ["create"]}
    done = try_run(command, *words.get(command, []), data=tmp_path / "data")
    is_failure(done, tmp_path / "data", "irectory")
    assert (tmp_path / "data").read_text() == "not a directory"


@pytest.mark.smoke
def test_data_below_a_missing_directory(tmp_path):
    done = try_run("serve", "--listen", "127.0.0.1:0", data=tmp_path / "no" / "data")
    is_failure(done, tmp_path / "no" / "data", "No such file")


@pytest.mark.smoke
@pytest.mark.parametrize("given, missing", [("cert", "key"), ("key", "cert")])
def test_half_of_tls(given, missing, data):
    done = try_run("serve", f"--tls-{given}-file", "/dev/null", data=data)
    is_usage_error(done, f"tls_{missing}_file is missing")


@pytest.mark.smoke
def test_sigterm_ends_with_0_at_once_when_idle():
    with Server() as server:
        start = time.monotonic()
        server.terminate()
        assert server.wait() == 0
        assert time.monotonic() - start < 2 * SLOWNESS
        assert not (server.data / "address").exists()
        assert "server stopped" in server.log()


def test_sighup_reads_the_file_again(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("log_level: error\n")
    with Server(args=["--config", str(config)]) as server:
        server.api().get("/app")
        assert server.log() == ""
        config.write_text("log_level: info\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log(), 5, "a line about the reload")
        # A file with an error is complained about, and the server goes on with what it had.
        config.write_text("log_level: loud\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "loud" in server.log(), 5, "a complaint")
        assert server.api().get("/health/ping").status_code == 204
        assert server.log().count("reloaded") == 1


DELIVERED = re.compile(r"^\S+Z /hook/(\w+) (msg_\w{27}) signature verified$")


def folders_of(pid):
    """The demo folders in which a process holds files open."""
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return {Path(link).parent for link in links if "/posthorn-demo-" in link}


def demo_is_well(env=None):
    """Start the demo; its six first deliveries come and verify, and SIGTERM ends it with 0. Gives
    back the folders that it used."""
    process = subprocess.Popen(
        [BIN, "serve", "--demo", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(env),
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    found = lambda: [m for m in map(DELIVERED.match, list(lines)) if m]  # noqa: E731
    try:
        wait_for(lambda: len(found()) >= 6, 10, lambda: f"six verified deliveries; {lines}")
        folders = folders_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20 * SLOWNESS) == 0
    finally:
        process.kill()
        process.wait()
        reader.join()
        errors = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert lines[0].startswith("ready http://127.0.0.1:")
    assert {match.group(1) for match in found()} == {"everything", "failures"}
    assert not any("no signature" in line for line in lines)
    assert errors == "", errors
    payloads = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(payloads) == len(found())
    return folders


@pytest.mark.smoke
def test_the_demo_prints_verified_deliveries():
    demo_is_well()


def test_the_demo_works_behind_a_proxy():
    """The demo talks to itself on loopback: a proxy for the outside has no part in that."""
    demo_is_well({"http_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"})


def test_the_demo_leaves_nothing_behind():
    folders = demo_is_well()
    assert folders, "without --data it uses a folder of its own"
    assert not any(folder.exists() for folder in folders)


# ---- jwt and token ----


@pytest.mark.smoke
@pytest.mark.parametrize(
    "words", [[], ["make"], ["generate", "user_1"], ["generate", "org_1", "org_2"]]
)
def test_jwt_used_badly(words, data):
    is_usage_error(try_run("jwt", *words, data=data))


@pytest.mark.smoke
def test_jwt_beside_a_running_server():
    with Server() as server:
        done = run("jwt", "generate", data=server.data)
        assert re.fullmatch(r"Token \(Bearer\): \S+\n", done.stdout) and done.stderr == ""
        assert server.api(done.stdout.split()[-1]).get("/app").status_code == 200


def test_jwt_before_the_first_start(tmp_path):
    """The secret that it makes is the one that the server takes over."""
    token = run("jwt", "generate", data=tmp_path / "data").stdout.split()[-1]
    secret = tmp_path / "data" / "jwt_secret"
    assert oct(secret.stat().st_mode & 0o777) == "0o600"
    with Server(data=tmp_path / "data") as server:
        assert server.api(token).get("/app").status_code == 200


def test_many_first_starts_agree_on_one_secret(tmp_path):
    """Sixteen processes make the secret at once: all of them print tokens of the same one."""
    command = [BIN, "jwt", "generate", "--data", str(tmp_path / "data")]
    env = clean_environment()
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        for _ in range(16)
    ]
    outputs = [process.communicate(timeout=30 * SLOWNESS) for process in processes]
    assert [process.returncode for process in processes] == [0] * 16, outputs
    with Server(data=tmp_path / "data") as server:
        for output, _ in outputs:
            assert server.api(output.split()[-1]).get("/app").status_code == 200
    assert not list((tmp_path / "data").glob("*.new*"))


@pytest.mark.smoke
def test_an_empty_secret_file(data):
    (data / "jwt_secret").write_text("\n")
    is_failure(try_run("jwt", "generate", data=data), data / "jwt_secret", "empty")
    is_failure(try_run("serve", "--listen", "127.0.0.1:0", data=data), data / "jwt_secret")


@pytest.mark.smoke
def test_token_create(server, api):
    done = server.run("token", "create", "--surface", "native", "--name", "x")
    assert re.fullmatch(r"\S+\n", done.stdout) and done.stderr == ""
    assert server.api(done.stdout.strip()).get("/app").status_code == 200
    uid = unique("uid")
    app, other = api.new_app(uid=uid), api.new_app()
    for name in (uid, app["id"]):
        token = server.run("token", "create", "--app", name, "--expires", "2h").stdout.strip()
        claims = jwt.claims(token)
        assert abs(claims["exp"] - time.time() - 7200) < 60
        assert server.api(token).get(f"/app/{app['id']}/msg").status_code == 200
        assert server.api(token).get(f"/app/{other['id']}/msg").status_code in (401, 403, 404)


@pytest.mark.smoke
def test_token_used_badly(server, data):
    is_usage_error(try_run("token", data=data), "usage")
    is_usage_error(try_run("token", "make", data=data), "usage")
    is_usage_error(try_run("token", "create", "--surface", "none", data=data), '"none"')
    is_usage_error(try_run("token", "create", "--expires", "soon", data=data), "--expires", "soon")
    is_usage_error(try_run("token", "create", "--expires", "2001-01-01T00:00:00Z", data=data))
    is_failure(server.run("token", "create", "--app", "nobody", check=False), "nobody")


# ---- send ----


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
    done = server.run("send", "--app", app["id"], "--type", "test.cli", *words, input=text_in)
    assert MSG_ID.match(done.stdout.strip()) and done.stdout.count("\n") == 1 and done.stderr == ""
    assert inbox(done.stdout.strip()) == text.encode()


@pytest.mark.smoke
def test_send_elsewhere(server, app, inbox, tmp_path):
    """With --url and --token, or their variables, the data directory has no part in it."""
    words = ["send", "--app", app["id"], "--type", "t", "--payload", "{}"]
    given = ["--url", server.url, "--token", server.org_token]
    first = run(*words, *given, data=tmp_path / "none").stdout.strip()
    env = {"POSTHORN_URL": server.url, "POSTHORN_TOKEN": server.org_token}
    second = run(*words, data=tmp_path / "none", env=env).stdout.strip()
    assert first != second and inbox(first) == inbox(second) == b"{}"
    assert not (tmp_path / "none").exists()


@pytest.mark.smoke
def test_send_with_its_flags(server, api, app):
    words = ["send", "--app", app["id"], "--type", "t", "--payload", "{}"]
    ids = {server.run(*words, "--idempotency-key", "k").stdout for _ in range(2)}
    assert len(ids) == 1
    answer = json.loads(server.run(*words, "--event-id", "one", "--json").stdout)
    assert answer["eventId"] == "one" and answer["eventType"] == "t"
    assert api.ok("GET", f"/app/{app['id']}/msg/one")["id"] == answer["id"]
    is_failure(server.run(*words, "--event-id", "one", check=False), "409", "conflict")


@pytest.mark.smoke
def test_send_that_fails(server, app, data, tmp_path):
    words = ["send", "--type", "t", "--payload"]
    mine = ["--app", app["id"]]
    is_failure(server.run(*words, "[]", *mine, check=False), "422", "payload")
    is_failure(server.run(*words, '{"a":', *mine, check=False), "422")
    is_failure(server.run(*words, "", *mine, check=False), "422")
    is_failure(server.run(*words, "{}", "--app", "nobody", check=False), "404", "not_found")
    bad = server.run(*words, "{}", *mine, "--token", "x", check=False)
    is_failure(bad, "401")
    is_failure(try_run(*words, "{}", *mine, data=data), "no server", data)
    gone = try_run(*words, "{}", *mine, "--url", "http://127.0.0.1:1", data=data)
    is_failure(gone, "127.0.0.1")
    missing = server.run("send", "--type", "t", *mine, "--file", tmp_path / "none", check=False)
    is_failure(missing, tmp_path / "none")


@pytest.mark.smoke
@pytest.mark.parametrize("words", [[], ["--app", "a"], ["--type", "t"]])
def test_send_without_what_it_needs(words, data):
    is_usage_error(try_run("send", *words, data=data, input="{}"), "--app", "--type")


def test_send_cannot_be_talked_into_another_message(server, api, app):
    """The payload is one JSON value: text behind it must not become fields of the message."""
    payload = '{"a": 1}, "eventId": "smuggled"'
    words = ["send", "--app", app["id"], "--type", "t", "--payload", payload]
    is_failure(server.run(*words, check=False))
    assert api.ok("GET", f"/app/{app['id']}/msg")["data"] == []


# ---- listen ----


class Listen:
    """`posthorn listen` with the lines that it printed so far."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [BIN, "listen", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )
        self.ready = self.process.stdout.readline().decode()
        self.url = self.ready.split()[1]

    def post(self, path="/hook", body=b'{"a": 1}', secret=SECRET, at=None, key="msg_1"):
        stamp = str(int(time.time() if at is None else at))
        text = b".".join([key.encode(), stamp.encode(), body])
        headers = {
            "webhook-id": key,
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + signatures.v1(secret, text),
        }
        with httpx.Client(trust_env=False) as client:
            return client.post(self.url + path, content=body, headers=headers)

    def lines(self):
        """What it printed after the ready line, when it has ended; it must have ended with 0."""
        out, err = self.process.communicate(timeout=20 * SLOWNESS)
        assert self.process.returncode == 0 and err == b"", (self.process.returncode, err)
        return out.decode().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.mark.smoke
def test_listen_verifies_and_prints():
    other = signatures.new_symmetric(fill=b"z")
    with Listen("--secret", SECRET, "--count", "4") as listen:
        assert re.fullmatch(r"ready http://127\.0\.0\.1:[1-9]\d*\n", listen.ready)
        assert listen.post("/hook").status_code == 204
        assert listen.post("/wrong", secret=other).status_code == 204
        assert listen.post("/late", at=time.time() - 3600).status_code == 204
        with httpx.Client(trust_env=False) as client:
            assert client.post(listen.url + "/bare", content=b"{}").status_code == 204
        lines = listen.lines()
    assert lines[1::2] == ['{"a": 1}', '{"a": 1}', '{"a": 1}', "{}"]
    good, wrong, late, bare = lines[0::2]
    assert re.fullmatch(r"\S+Z /hook msg_1 signature verified", good)
    assert "/wrong msg_1" in wrong and "no signature fits" in wrong
    assert "/late msg_1" in late and "old" in late
    assert "/bare" in bare and "missing" in bare
    assert "verified" not in wrong + late + bare


@pytest.mark.smoke
def test_listen_without_a_secret_says_so():
    with Listen("--count", "1", "--status", "503") as listen:
        assert listen.post().status_code == 503
        assert "not checked" in listen.lines()[0]


@pytest.mark.smoke
def test_listen_as_json():
    with Listen("--secret", SECRET, "--count", "3", "--json") as listen:
        listen.post(body=b'{"a": "\xc3\xa9"}')
        listen.post(body=b"\xff\x00\n", key="msg_2")
        listen.post(secret=signatures.new_symmetric(fill=b"z"))
        rows = [json.loads(line) for line in listen.lines()]
    assert [row["verified"] for row in rows] == [True, True, False]
    assert rows[0]["body"] == '{"a": "\u00e9"}' and rows[0]["path"] == "/hook"
    assert rows[1]["id"] == "msg_2" and rows[2]["signature"] == "no signature fits"


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/api/v1/webhooks/in", "/a?b=c"])
def test_listen_takes_any_path(path):
    with Listen("--secret", SECRET, "--count", "1") as listen:
        assert listen.post(path).status_code == 204
        assert "signature verified" in listen.lines()[0]


def test_listen_takes_several_secrets():
    other = signatures.new_symmetric(fill=b"z")
    with Listen("--secret", f"{SECRET},{other}", "--count", "2") as listen:
        listen.post()
        listen.post(secret=other)
        assert all("signature verified" in line for line in listen.lines()[0::2])


def test_listen_receives_from_a_server(server, api, app):
    with Listen("--secret", SECRET, "--count", "1") as listen:
        endpoint = api.new_endpoint(app, listen.url + "/hook", secret=SECRET)
        message = api.send(app, {"n": 1})
        api.wait_final(app, message, endpoint)
        assert f"/hook {message['id']} signature verified" in listen.lines()[0]


@pytest.mark.smoke
@pytest.mark.parametrize(
    "words",
    [
        ["--status", "99"],
        ["--status", "600"],
        ["--status", "ok"],
        ["--count", "-1"],
        ["--count", "some"],
        ["--secret", "whsec_!"],
        ["--listen", "nowhere"],
    ],
)
def test_listen_used_badly(words):
    line = is_usage_error(try_run("listen", *words))
    assert words[0] in line, f"which flag was wrong? {line}"


@pytest.mark.smoke
def test_listen_on_a_port_in_use(server):
    address = server.url.split("://")[1]
    is_failure(try_run("listen", "--listen", address), address, "in use")


# ---- verify ----


def signed(body=b'{"a": 1}', at=None, secret=SECRET):
    """The flags for a webhook that is signed well."""
    stamp = str(int(time.time() if at is None else at))
    signature = "v1," + signatures.v1(secret, b"msg_1." + stamp.encode() + b"." + body)
    words = {"--secret": SECRET, "--id": "msg_1", "--timestamp": stamp, "--signature": signature}
    return words, body.decode()


def verify(words, body, *more):
    flat = [part for pair in words.items() for part in pair]
    done = try_run("verify", *flat, *more, input=body)
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout


@pytest.mark.smoke
def test_verify_says_valid(tmp_path):
    words, body = signed()
    assert verify(words, body) == (0, "valid\n")
    (tmp_path / "body").write_text(body)
    assert verify(words, "", "--file", str(tmp_path / "body")) == (0, "valid\n")
    several = {**words, "--signature": f"v1,AAAA v2,x {words['--signature']}"}
    assert verify(several, body) == (0, "valid\n")
    old, body = signed(at=time.time() - 3600)
    assert verify(old, body, "--ignore-time") == (0, "valid\n")
    assert verify(old, body, "--tolerance", "7200") == (0, "valid\n")


@pytest.mark.smoke
def test_verify_says_no():
    words, body = signed()
    for wrong, text in [
        ({}, body + " "),
        ({"--id": "msg_2"}, body),
        ({"--timestamp": str(int(words["--timestamp"]) + 1)}, body),
        ({"--signature": "v1," + "A" * 43 + "="}, body),
        ({"--signature": ""}, body),
        ({"--secret": signatures.new_symmetric(fill=b"z")}, body),
    ]:
        code, said = verify({**words, **wrong}, text)
        assert code == 1 and said.strip() and "valid" not in said.split(), (wrong, said)
    old, body = signed(at=time.time() - 3600)
    code, said = verify(old, body)
    assert code == 1 and "old" in said
    code, said = verify(*signed(at=time.time() + 3600))
    assert code == 1 and "ahead" in said
    assert verify(*signed(at=time.time() - 10), "--tolerance", "5")[0] == 1


def test_verify_ed25519(api, app, receiver, path):
    secret, public = signatures.new_asymmetric()
    api.new_endpoint(app, receiver.url(path), secret=secret)
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    words = {"--secret": public}
    for name in ("id", "timestamp", "signature"):
        words[f"--{name}"] = request.header(f"webhook-{name}")
    assert verify(words, request.body.decode()) == (0, "valid\n")
    words["--secret"] = signatures.new_asymmetric(fill=9)[1]
    assert verify(words, request.body.decode())[0] == 1


@pytest.mark.smoke
def test_verify_used_badly(tmp_path):
    words, body = signed()
    for name in words:
        rest = [part for pair in words.items() if pair[0] != name for part in pair]
        is_usage_error(try_run("verify", *rest, input=body), name)
    flat = [part for pair in words.items() for part in pair]
    is_usage_error(try_run("verify", *flat, "--tolerance", "long", input=body), "--tolerance")
    is_usage_error(try_run("verify", *flat, "--secret", "whsec_!", input=body), "--secret")
    is_failure(try_run("verify", *flat, "--file", str(tmp_path / "no")), tmp_path / "no")


# ---- doctor and migrate ----


def doctor(data, **kwargs):
    """(exit code, the lines that say FAIL, the whole output)"""
    done = try_run("doctor", data=data, timeout=30, **kwargs)
    assert done.stderr == "", done.stderr
    fails = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert (done.returncode == 0) == (not fails), done.stdout
    assert all(": " in line for line in fails), "a FAIL without advice"
    return done.returncode, "\n".join(fails), done.stdout


@pytest.mark.smoke
def test_doctor_finds_all_well(data):
    code, _, said = doctor(data)
    assert code == 0 and "no server runs" in said and "store is whole" in said


@pytest.mark.smoke
def test_doctor_beside_a_running_server():
    with Server() as server:
        code, _, said = doctor(server.data)
        assert code == 0 and "server is ready" in said
        server.kill()
        code, _, said = doctor(server.data)
        assert code == 0 and "no server runs" in said
        server.start()


def test_doctor_asks_the_server_without_a_proxy():
    with Server() as server:
        done = run("doctor", data=server.data, env={"http_proxy": "http://127.0.0.1:1"})
        assert "ok    server is ready" in done.stdout


def test_doctor_counts_what_is_late(receiver, path):
    with Server({"retry_schedule": "300"}) as server:
        api = server.api()
        app = api.new_app()
        api.new_endpoint(app, "http://127.0.0.1:9/")
        for _ in range(3):
            api.wait_attempts(app, api.send(app))
        assert "3 deliveries pending" in doctor(server.data)[2]


@pytest.mark.smoke
def test_doctor_without_a_directory(tmp_path):
    code, fails, _ = doctor(tmp_path / "none")
    assert code == 1 and "data directory" in fails
    (tmp_path / "file").write_text("")
    assert doctor(tmp_path / "file")[0] == 1
    assert not (tmp_path / "none").exists(), "it looks, it makes nothing"


@pytest.mark.smoke
def test_doctor_without_a_store(tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    code, fails, _ = doctor(tmp_path / "data")
    assert code == 1 and "store" in fails
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.smoke
@pytest.mark.parametrize("name", [".", "jwt_secret"])
def test_doctor_finds_what_others_can_read(data, name):
    run("jwt", "generate", data=data)
    (data / name).chmod(0o755)
    code, fails, _ = doctor(data)
    assert code == 1 and "private" in fails and "chmod" in fails


class AsNobody:
    """A copy of a data directory, and of the program, where a user without rights can get at it."""

    def __init__(self, data):
        self.root = Path(tempfile.mkdtemp(prefix="posthorn-nobody-"))
        self.root.chmod(0o755)
        self.data = self.root / "data"
        shutil.copytree(data, self.data)
        shutil.copy(BIN, self.root / "posthorn")
        self._who = {}
        if os.geteuid() == 0:
            self._who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for entry in [self.data, *self.data.iterdir()]:
                os.chown(entry, NOBODY, NOBODY)

    def run(self, *words):
        return subprocess.run(
            [self.root / "posthorn", *words, "--data", self.data],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=20 * SLOWNESS,
            **self._who,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.data.chmod(0o700)
        shutil.rmtree(self.root)


@pytest.mark.smoke
@pytest.mark.parametrize("has_store", [True, False], ids=["a store", "no store"])
def test_doctor_finds_a_directory_that_cannot_be_written(data, has_store):
    with AsNobody(data) as nobody:
        assert nobody.run("doctor").returncode == 0
        if not has_store:
            (nobody.data / "posthorn.db").unlink()
        nobody.data.chmod(0o500)
        done = nobody.run("doctor")
        fails = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
        assert done.returncode == 1 and fails
        assert any(re.search(r"writable|cannot write|ermission", line) for line in fails), fails
        is_failure(nobody.run("serve", "--listen", "127.0.0.1:0"), nobody.data, "ermission")


def damage(path, start, length):
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(b"\x55\xaa" * (length // 2))


@pytest.fixture
def broken(data):
    """A store whose pages behind the first one were overwritten."""
    path = data / "posthorn.db"
    damage(path, 4096, path.stat().st_size - 4096)
    return data


@pytest.mark.smoke
def test_doctor_finds_a_damaged_store(broken):
    code, fails, _ = doctor(broken)
    assert code == 1 and "store" in fails


@pytest.mark.smoke
@pytest.mark.parametrize(
    "content", [b"", b"not a database, but text\n" * 1000], ids=["no", "other"]
)
def test_doctor_finds_a_file_that_is_no_store(data, content):
    (data / "posthorn.db").write_bytes(content)
    code, fails, _ = doctor(data)
    assert code == 1 and "store" in fails
    assert (data / "posthorn.db").read_bytes() == content


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_damaged_store_is_named(broken, command):
    """The message has to say which file is damaged."""
    words = ["--listen", "127.0.0.1:0"] if command == "serve" else []
    is_failure(try_run(command, *words, data=broken), broken)


def each_damage(data):
    """Damages one page of the store after the other; gives the page's number."""
    path = data / "posthorn.db"
    whole = path.read_bytes()
    assert len(whole) > 10 * 4096
    for page in range(len(whole) // 4096):
        path.write_bytes(whole)
        damage(path, page * 4096, 4096)
        yield page


def test_the_doctor_finds_any_damaged_page(data):
    missed = [page for page in each_damage(data) if doctor(data)[0] == 0]
    assert missed == []


def test_any_damaged_page_is_named(data):
    """A command that stumbles over a damaged page says in which file it is."""
    stumbled = 0
    for page in each_damage(data):
        done = try_run("migrate", data=data)
        if done.returncode != 0:
            assert str(data) in is_failure(done), f"page {page}"
            stumbled += 1
    assert stumbled > 0


@pytest.fixture
def newer(data):
    """A store that a later version has migrated."""
    with sqlite3.connect(data / "posthorn.db") as store:
        (newest,) = store.execute("SELECT max(number) FROM schema_migration").fetchone()
        row = (newest + 1, "of a later version", 0)
        store.execute("INSERT INTO schema_migration VALUES (?, ?, ?)", row)
    store.close()
    return data


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_store_of_a_newer_version_is_refused(newer, command):
    words = ["--listen", "127.0.0.1:0"] if command == "serve" else []
    is_failure(try_run(command, *words, data=newer), "newer version")


@pytest.mark.smoke
def test_doctor_finds_a_store_of_a_newer_version(newer):
    code, fails, _ = doctor(newer)
    assert code == 1 and "newer" in fails


@pytest.mark.smoke
def test_migrate(tmp_path):
    first = run("migrate", data=tmp_path / "data")
    assert re.fullmatch(r"[1-9]\d* migrations? applied\n", first.stdout) and first.stderr == ""
    assert run("migrate", data=tmp_path / "data").stdout == "0 migrations applied\n"
    with Server(data=tmp_path / "data") as server:
        assert server.run("migrate").stdout == "0 migrations applied\n"
        assert server.api().ok("GET", "/app")["data"] == []


def test_two_migrations_at_once(tmp_path):
    """Processes that start at the same moment take turns: each migration is applied once."""
    (tmp_path / "data").mkdir(mode=0o700)
    command = [BIN, "migrate", "--data", str(tmp_path / "data")]
    env = clean_environment()
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=30 * SLOWNESS) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    with sqlite3.connect(tmp_path / "data" / "posthorn.db") as store:
        (newest,) = store.execute("SELECT max(number) FROM schema_migration").fetchone()
    store.close()
    assert sum(int(out.split()[0]) for out, _ in outputs) == newest


# ---- what every command has in common ----


@pytest.mark.smoke
def test_a_full_stdout_is_a_failure(data):
    """Output that could not be written was not given: that is no success."""
    with open("/dev/full", "w") as full:
        for words in (["version"], ["jwt", "generate", "--data", str(data)], ["help"]):
            done = subprocess.run(
                [BIN, *words],
                stdout=full,
                stderr=subprocess.PIPE,
                env=clean_environment(),
                timeout=20,
            )
            assert done.returncode == 1, f"{words} ended with {done.returncode}"


@pytest.mark.smoke
@pytest.mark.skipif(SANITIZED, reason="a sanitizer build starts slowly")
def test_commands_start_quickly():
    run("version")
    start = time.monotonic()
    for _ in range(10):
        run("version")
    assert time.monotonic() - start < 2, "ten starts of a command that prints one line"


def test_the_defaults_of_the_suite_are_options():
    """The harness sets options by name; a renamed one would silently be a default no more."""
    keys = {key for key, _ in described_options()}
    assert DEFAULTS.keys() <= keys
