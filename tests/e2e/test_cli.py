# SPDX-License-Identifier: Apache-2.0
"""The command line: each command used well and badly, exit codes (0 done, 1 failed, 2 wrong usage),
and what goes to stdout and what to stderr."""

import hashlib
import hmac
import itertools
import json
import re
import signal
import sqlite3
import subprocess
import time

import pytest
from harness import jwt
from harness.api import unique
from harness.cli import (
    SECRET,
    AsNobody,
    demo_is_well,
    doctor,
    is_failure,
    is_usage_error,
    try_run,
)
from harness.server import BIN, DEFAULTS, Server, clean_environment, run
from harness.wait import SANITIZED, net, quickest, wait_for

COMMANDS = [
    "serve", "jwt", "token", "send", "explain", "tail", "replay", "listen", "verify", "dbt", "doctor",
    "backup", "restore", "prune", "key", "migrate", "magpie", "completion", "version",
]


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
def test_the_worker_of_jq_programs_is_not_for_people():
    assert "jq-worker" not in run("help").stdout
    assert "jq-worker" not in run("help", "--man").stdout
    is_usage_error(try_run("help", "jq-worker"), '"jq-worker"')
    is_usage_error(try_run("jq-worker"), "started by the server")
    is_usage_error(try_run("jq-worker", "0", "many"), "started by the server")


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
    "send": ["--app", "a", "--event-type", "t", "--payload", "{}", "--url", "http://127.0.0.1:1"],
    "explain": ["--app", "a", "--msg", "m", "--url", "http://127.0.0.1:1"],
    "tail": ["--app", "a", "--url", "http://127.0.0.1:1"],
    "replay": ["--task", "qtask_a", "--url", "http://127.0.0.1:1"],
    "listen": ["--listen", "127.0.0.1:0"],
    "verify": ["--secret", SECRET, "--id", "a", "--timestamp", "1", "--signature", "v1,a"],
    "doctor": [],
    "key": ["check"],
    "backup": ["file"],
    "restore": ["file"],
    "prune": ["--older-than", "30d"],
    "migrate": [],
    "completion": ["bash"],
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
    "send": ["--url", "--token", "--app", "--event-type", "--payload", "--file", "--event-id"],
    "explain": ["--app", "--msg", "--endpoint", "--url", "--token", "--data"],
    "tail": ["--app", "--event-type", "--endpoint", "--since", "--count", "--url", "--token"],
    "replay": ["--app", "--endpoint", "--since", "--until", "--rate", "--task", "--cancel"],
    "listen": ["--secret", "--status", "--count", "--listen"],
    "verify": ["--secret", "--id", "--timestamp", "--signature", "--file", "--tolerance"],
    "doctor": ["--data"],
    "backup": ["--data"],
    "restore": ["--data"],
    "prune": ["--older-than", "--data"],
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
        [BIN, "migrate"], cwd=tmp_path, env=clean_environment(), capture_output=True, timeout=net(30)
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


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_port_0_is_some_free_port(host):
    server = Server()
    server._listen = f"{host}:0"
    with server:
        assert re.fullmatch(rf"http://{re.escape(host)}:[1-9]\d{{0,4}}", server.url)
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
        assert time.monotonic() - start < 20
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
    def end():
        with Server() as server:
            start = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            took = time.monotonic() - start
            assert not (server.data / "address").exists()
            assert "server stopped" in server.log()
        return took

    assert quickest(end, 2) < 2


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
    outputs = [process.communicate(timeout=net(30)) for process in processes]
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


# ---- doctor and migrate ----


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
    outputs = [process.communicate(timeout=net(30)) for process in processes]
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
                timeout=net(20),
            )
            assert done.returncode == 1, f"{words} ended with {done.returncode}"


@pytest.mark.serial
@pytest.mark.smoke
@pytest.mark.skipif(SANITIZED, reason="a sanitizer build starts slowly")
def test_commands_start_quickly():
    run("version")

    def ten():
        start = time.monotonic()
        for _ in range(10):
            run("version")
        return time.monotonic() - start

    assert quickest(ten, 2) < 2, "ten starts of a command that prints one line"


def test_the_defaults_of_the_suite_are_options():
    """The harness sets options by name; a renamed one would silently be a default no more."""
    keys = {key for key, _ in described_options()}
    assert DEFAULTS.keys() <= keys
