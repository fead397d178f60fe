# SPDX-License-Identifier: Apache-2.0
"""Store care by command: backup of a running server, restore, prune, and the control socket through
which they reach it."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

import pytest
from harness.api import unique
from harness.cli import NOBODY, doctor, is_failure, is_usage_error, try_run
from harness.namespace import Namespace
from harness.receiver import Receiver
from harness.server import BIN, Server, clean_environment, run
from harness.wait import SLOWNESS, net, wait_for

FILLER_MIB = 96


def backup(data, path, *words, **kwargs):
    return try_run("backup", str(path), *words, data=data, timeout=60, **kwargs)


def restore(data, path, *words):
    return try_run("restore", str(path), *words, data=data, timeout=60)


def is_done(done):
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    return done.stdout


def is_whole(path):
    store = sqlite3.connect(path)
    try:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        store.close()  # and takes the files beside it along


def fill(path, mebibytes=FILLER_MIB):
    """Makes a stopped server's store big: payloads that belong to no message."""
    with sqlite3.connect(path) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=OFF")
        for number in range(mebibytes):
            store.execute("INSERT INTO payload (message_id, body) VALUES (?, randomblob(1 << 20))", (number + 1,))
    store.close()


@pytest.fixture(scope="module")
def big_data(tmp_path_factory):
    """A data directory whose backup takes a while; to be copied."""
    data = tmp_path_factory.mktemp("big") / "data"
    run("migrate", data=data)
    run("jwt", "generate", data=data)
    fill(data / "posthorn.db")
    yield data
    shutil.rmtree(data)


@pytest.fixture
def big(big_data, tmp_path):
    shutil.copytree(big_data, tmp_path / "big")
    yield tmp_path / "big"
    shutil.rmtree(tmp_path / "big")


def payload_of(number):
    """Bytes that only an exact copy has."""
    pad = b"x" * (number * 37 % 9000)
    return b'{"n": %d,  "price": 1.10, "big": 12345678901234567890, "pad": "%s"}' % (number, pad)


class Load:
    """Clients that post until they are told to stop; the ids of what was acknowledged."""

    def __init__(self, server, app, clients=4):
        self.acknowledged = {}
        self.wrong = []
        self._app = app
        self._numbers = iter(range(1, 1000000))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(server.api(),)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def count(self):
        return len(self.acknowledged)

    def _run(self, api):
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            try:
                self.acknowledged[api.send_text(self._app, payload_of(number))["id"]] = number
            except AssertionError as error:
                self.wrong.append(str(error))
                return

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(net(30))
        assert not self.wrong, self.wrong


def test_a_backup_under_load_has_all_that_was_acknowledged(tmp_path, tell):
    copy = tmp_path / "copy"
    with Receiver() as receiver, Server() as server:
        path = "/" + unique("hook")
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        load = Load(server, app)
        wait_for(lambda: load.count() >= 400, 60)
        before = dict(load.acknowledged)
        is_done(backup(server.data, copy))
        during = load.count() - len(before)
        wait_for(lambda: load.count() >= len(before) + during + 100, 60)
        load.stop()
        secret = api.secret(app, endpoint)
        token = server.org_token
    assert during > 0, "ingest stood still"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy"]
    data = tmp_path / "data"
    assert str(data) in is_done(restore(data, copy))
    is_whole(data / "posthorn.db")
    assert doctor(data)[0] == 0
    with Server(data=data) as server:
        api = server.api(token)  # tokens are those of before
        for message, number in before.items():
            answer = api.get(f"/app/{app['id']}/msg/{message}")
            assert answer.status_code == 200, message
            assert payload_of(number) in answer.content, message
        assert api.secret(app, endpoint) == secret
        assert api.send(app)["id"] not in load.acknowledged
    tell(f"backup: {len(before)} messages before, {during} acknowledged while it was made")


@pytest.mark.smoke
def test_a_backup_without_a_server(tmp_path):
    with Server() as server:
        app = server.api().new_app()
        message = server.api().send_text(app, payload_of(7))
        server.stop()
        is_done(backup(server.data, tmp_path / "copy"))
        assert not (server.data / "control.sock").exists()
        server.start()  # the data directory is free again
    data = tmp_path / "data"
    is_done(restore(data, tmp_path / "copy"))
    with Server(data=data) as server:
        assert payload_of(7) in server.api().get(f"/app/{app['id']}/msg/{message['id']}").content


@pytest.mark.smoke
@pytest.mark.parametrize("runs", [True, False], ids=["server", "alone"])
def test_a_backup_replaces_nothing_unasked(tmp_path, runs):
    (tmp_path / "copy").write_text("mine")
    with Server() as server:
        if not runs:
            server.stop()
        is_failure(backup(server.data, tmp_path / "copy"), tmp_path / "copy", "--force")
        assert (tmp_path / "copy").read_text() == "mine"
        is_done(backup(server.data, tmp_path / "copy", "--force"))
        is_failure(backup(server.data, tmp_path / "none" / "copy"), "No such file")
        (tmp_path / "folder").mkdir()
        is_failure(backup(server.data, tmp_path / "folder", "--force"))
    is_whole(tmp_path / "copy")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "folder"]


@pytest.mark.smoke
def test_a_relative_path_is_the_commands_own(tmp_path):
    with Server() as server:
        done = subprocess.run(
            [BIN, "backup", "copy", "--data", server.data],
            cwd=tmp_path, capture_output=True, text=True, env=clean_environment(), timeout=net(30),
        )
        assert is_done(done).startswith("copy: ")
    is_whole(tmp_path / "copy")


def spawn(*words):
    return subprocess.Popen(
        [BIN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    )


def in_the_middle(big, copy, interrupt):
    """Calls interrupt(command) when a part of a backup is written, and gives the command's exit code, stdout and
    stderr. When the backup was done before anything could be interrupted it is removed and made again."""
    half = copy.with_name(copy.name + ".partial") / "posthorn.db"

    def is_half():
        with contextlib.suppress(FileNotFoundError):
            return half.stat().st_size > 4 << 20

    for _ in range(30):
        command = spawn("backup", copy, "--data", big)
        wait_for(lambda: is_half() or command.poll() is not None, 20, "a backup in the making", step=0.001)
        interrupt(command)
        out, err = command.communicate(timeout=net(30))
        if not copy.exists():
            return command.returncode, out, err
        copy.unlink()
    raise AssertionError("every backup was done too soon")


def test_a_killed_server_leaves_no_half_backup(big, tmp_path):
    copy = tmp_path / "copy"
    server = Server(data=big)

    def kill(_):
        server.kill()
        server.start()

    with server:
        code, out, err = in_the_middle(big, copy, kill)
        assert code == 1 and out == "" and "ended before" in err
        is_done(backup(big, copy))
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["big", "copy"]
    is_whole(copy)


def test_a_killed_command_leaves_no_half_backup(big, tmp_path):
    copy = tmp_path / "copy"
    code, _, _ = in_the_middle(big, copy, lambda command: command.kill())
    assert code == -signal.SIGKILL
    is_done(backup(big, copy))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["big", "copy"]
    is_whole(copy)


def test_a_backup_ends_with_the_one_who_asked(big, tmp_path):
    copy = tmp_path / "copy"
    seconds = []
    with Server(data=big) as server:

        def leave(command):
            seconds.append(try_run("prune", data=big))
            command.kill()
            wait_for(lambda: not copy.with_name("copy.partial").exists(), 10, "the server to notice")

        in_the_middle(big, copy, leave)
        # Meanwhile there was no second one.
        is_failure(seconds[-1], "another")
        wait_for(lambda: [entry.name for entry in tmp_path.iterdir()] == ["big"], 10)
        assert server.api().ok("GET", "/app")["data"] == []


def test_a_server_that_stops_ends_a_backup(big, tmp_path):
    copy = tmp_path / "copy"
    with Server(data=big) as server:

        def stop(_):
            server.stop()
            here.append([entry.name for entry in tmp_path.iterdir()])
            server.start()

        here = []
        code, _, err = in_the_middle(big, copy, stop)
        assert code == 1 and "stopped" in err, err
        assert here[-1] == ["big"]


SPACE = re.compile(r"not enough space .* (\d+) bytes are needed and (\d+) are available")


def is_without_space(done):
    """(needed, available) bytes as the command tells them."""
    return tuple(map(int, SPACE.search(is_failure(done)).groups()))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_backup_wants_its_space_beforehand(big, tmp_path):
    """Nothing is written where it would not fit; where it fits it is made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    copy, small = disk / "copy", tmp_path / "small"
    store, log = big / "posthorn.db", big / "posthorn.db-wal"
    world = Namespace()

    def within():
        world.mount("none", disk, "tmpfs", data="size=4m")
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        needed, available = is_without_space(backup(big, copy))
        assert 0 <= needed - store.stat().st_size < 65536  # opening it begins a new log
        assert available == free and list(disk.iterdir()) == []
        with Server(data=big) as server:
            server.api().new_app()  # something is in the log
            before = store.stat().st_size + log.stat().st_size
            needed, available = is_without_space(backup(big, copy))
            assert store.stat().st_size < before <= needed
            assert needed <= store.stat().st_size + log.stat().st_size
            assert available == free and list(disk.iterdir()) == []
            is_done(backup(big, tmp_path / "copy"))
        run("migrate", data=small)
        is_done(backup(small, copy))
        is_whole(copy)

    try:
        world.run(within)
    finally:
        world.close()


# ---- restore ----


@pytest.fixture
def copy(tmp_path):
    """A backup with one application, and its name."""
    with Server() as server:
        server.api().new_app(name="of the backup")
        is_done(backup(server.data, tmp_path / "copy"))
    return tmp_path / "copy"


def app_names(data):
    with sqlite3.connect(data / "posthorn.db") as store:
        return [name for (name,) in store.execute("SELECT name FROM application ORDER BY name")]


@pytest.mark.smoke
def test_restore_is_refused_while_a_server_runs(copy):
    with Server() as server:
        is_failure(restore(server.data, copy), "stop it first")
        is_failure(restore(server.data, copy, "--force"), "stop it first")
        assert server.api().ok("GET", "/app")["data"] == []


@pytest.mark.smoke
def test_restore_moves_a_store_aside_only_when_asked(copy):
    with Server() as server:
        server.api().new_app(name="of today")
        secret = (server.data / "jwt_secret").read_text()
        server.kill()  # its write-ahead log stays
        is_failure(restore(server.data, copy), "--force")
        assert not list(server.data.glob("re*"))
        is_done(restore(server.data, copy, "--force"))
        (aside,) = server.data.glob("replaced-*")
        assert app_names(server.data) == ["of the backup"]
        assert app_names(aside) == ["of today"]
        assert (aside / "jwt_secret").read_text() == secret != (server.data / "jwt_secret").read_text()
        assert stat.S_IMODE(aside.stat().st_mode) == 0o700
        server._org_token = None
        server.start()
        assert [app["name"] for app in server.api().ok("GET", "/app")["data"]] == ["of the backup"]


@pytest.mark.smoke
def test_restore_does_not_replace_another_secret_unasked(copy, tmp_path):
    data = tmp_path / "data"
    run("jwt", "generate", data=data)
    secret = (data / "jwt_secret").read_text()
    is_failure(restore(data, copy), "jwt_secret", "--force")
    assert (data / "jwt_secret").read_text() == secret and not (data / "posthorn.db").exists()
    is_done(restore(data, copy, "--force"))
    assert (data / "jwt_secret").read_text() != secret


def no_file(path):
    path.unlink()


def no_database(path):
    path.write_bytes(b"not a database, but text\n" * 1000)


def empty(path):
    path.write_bytes(b"")


def short(path):
    path.write_bytes(path.read_bytes()[:-8192])


def damaged(path):
    content = bytearray(path.read_bytes())
    content[2 * 4096 : 9 * 4096] = b"\x55" * (7 * 4096)
    path.write_bytes(content)


def other_database(path):
    path.unlink()
    with sqlite3.connect(path) as store:
        store.execute("CREATE TABLE meta (name TEXT)")
    store.close()


def newer(path):
    with sqlite3.connect(path) as store:
        store.execute("INSERT INTO schema_migration VALUES (9999, 'later', 1)")
    store.close()


def in_use(path):
    path.with_name(path.name + "-wal").write_bytes(b"x")


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.smoke
@pytest.mark.parametrize(
    "spoil", [no_file, no_database, empty, short, damaged, other_database, newer, in_use, folder]
)
def test_restore_refuses_what_is_no_backup(copy, tmp_path, spoil):
    spoil(copy)
    data = tmp_path / "data"
    is_failure(restore(data, copy), copy)
    assert [entry.name for entry in data.iterdir()] == ["lock"]
    with Server() as server:
        server.api().new_app(name="of today")
        server.stop()
        is_failure(restore(server.data, copy, "--force"), copy)
        assert app_names(server.data) == ["of today"] and not list(server.data.glob("re*"))


@pytest.mark.smoke
def test_a_restore_that_was_cut_short_is_not_served(copy, tmp_path):
    data = tmp_path / "data"
    is_done(restore(data, copy))
    (data / "posthorn.db").unlink()
    (data / "restore.unfinished").write_text("")
    is_failure(try_run("serve", "--listen", "127.0.0.1:0", data=data), "posthorn restore")
    (data / "posthorn.db").write_text("")
    is_failure(backup(data, tmp_path / "other"), "posthorn restore")
    is_done(restore(data, copy, "--force"))
    assert not (data / "restore.unfinished").exists()
    assert doctor(data)[0] == 0 and app_names(data) == ["of the backup"]


@pytest.mark.smoke
def test_half_a_restore_is_touched_by_no_command(copy, tmp_path):
    """Neither what is there nor what is not there yet is the store that somebody means."""
    data = tmp_path / "data"
    keys = [tmp_path / "key", tmp_path / "next"]
    for key in keys:
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(32))
    commands = [
        ["migrate"],
        ["key", "check"],
        ["key", "rotate", "--new-key-file", keys[1]],
        ["key", "clean"],
    ]

    def is_refused():
        before = {path: path.read_bytes() for path in data.iterdir()}
        for words in commands:
            done = try_run(*words, "--set", f"master_key_file={keys[0]}", data=data)
            is_failure(done, "posthorn restore")
            assert {path: path.read_bytes() for path in data.iterdir()} == before, words
        assert "posthorn restore" in doctor(data)[1]

    is_done(restore(data, copy))
    (data / "restore.unfinished").write_text("")
    is_refused()
    (data / "posthorn.db").unlink()
    is_refused()
    is_done(restore(data, copy, "--force"))
    run("migrate", data=data)
    assert doctor(data)[0] == 0 and app_names(data) == ["of the backup"]


@pytest.mark.smoke
@pytest.mark.parametrize("command, tool", [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgres_has_tools_of_its_own(tmp_path, command, tool):
    store = "postgres://nobody:secret@127.0.0.1:1/none"
    done = try_run(command, str(tmp_path / "copy"), "--store", store, data=tmp_path / "data")
    assert "secret@" not in is_failure(done, tool)
    assert not (tmp_path / "data").exists() and not (tmp_path / "copy").exists()


@pytest.mark.smoke
def test_commands_make_no_store(tmp_path):
    data = tmp_path / "data"
    is_failure(backup(data, tmp_path / "copy"), "no store", data)
    is_failure(try_run("prune", data=data), "no store", data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.smoke
def test_a_backup_has_no_master_key(tmp_path):
    """Sealed secrets stay sealed: they open with the same key only."""
    key = tmp_path / "key"
    key.write_text(os.urandom(32).hex() + "\n")
    key.chmod(0o600)
    data = tmp_path / "data"
    with Server({"master_key_file": key}) as server:
        app = server.api().new_app()
        endpoint = server.api().new_endpoint(app, "http://127.0.0.1:1/")
        secret = server.api().secret(app, endpoint)
        is_done(backup(server.data, tmp_path / "copy"))
    content = (tmp_path / "copy").read_bytes()
    assert bytes.fromhex(key.read_text()) not in content and key.read_bytes().strip() not in content
    assert base64.b64decode(secret.removeprefix("whsec_")) not in content
    is_done(restore(data, tmp_path / "copy"))
    is_failure(try_run("serve", "--listen", "127.0.0.1:0", data=data), "master")
    with Server({"master_key_file": key}, data=data) as server:
        assert server.api().secret(app, endpoint) == secret


# ---- prune ----


def sent_and_done(server, receiver, count):
    """`count` messages of 20 kB that were delivered, and one that waits for its next attempt."""
    api = server.api()
    app = api.new_app()
    for name in ("test.event", "test.late"):
        api.new_event_type(name)
    endpoint = api.new_endpoint(app, receiver.url("/" + unique("good")), filterTypes=["test.event"])
    last = None
    for number in range(count):
        last = api.send(app, {"n": number, "pad": "x" * 20000})
    wait_for(lambda: pending(server.data) == 0, 30)
    assert api.destination(app, last, endpoint)["status"] == 0
    api.new_endpoint(app, "http://127.0.0.1:1/", filterTypes=["test.late"])
    late = api.send(app, event_type="test.late")
    api.wait_attempts(app, late)
    return app, late


def pending(data):
    with sqlite3.connect(data / "posthorn.db") as store:
        return store.execute("SELECT count(*) FROM delivery WHERE state = 0").fetchone()[0]


@pytest.mark.smoke
@pytest.mark.parametrize("runs", [True, False], ids=["server", "alone"])
def test_prune_deletes_counts_and_shrinks(runs):
    with Receiver() as receiver, Server({"retry_schedule": "3600"}) as server:
        app, late = sent_and_done(server, receiver, 60)
        sent_at = time.monotonic()
        if not runs:
            server.stop()
        store = server.data / "posthorn.db"
        what = "60 messages, 60 payloads, 60 deliveries, 60 attempts"
        assert "0 messages, 0 payloads" in is_done(try_run("prune", data=server.data))
        wait_for(lambda: time.monotonic() > sent_at + 1.2, 5)
        assert what in is_done(try_run("prune", "--older-than", "1s", "--dry-run", data=server.data))
        assert what in is_done(try_run("prune", "--older-than", "1s", "--dry-run", data=server.data))
        answer = is_done(try_run("prune", "--older-than", "1s", data=server.data, timeout=30))
        assert what in answer and "smaller" in answer
        assert store.stat().st_size < 600000
        if not runs:
            server.start()
        api = server.api()
        assert [row["id"] for row in api.ok("GET", f"/app/{app['id']}/msg")["data"]] == [late["id"]]
        assert len(api.attempts(app, late)) == 1
        api.send(app)
        server.stop()
        is_whole(store)


@pytest.mark.smoke
def test_prune_goes_by_the_servers_retention(server):
    app = server.api().new_app()
    server.api().send(app)
    with Server({"retention_days": "90"}) as other:
        assert "older than 7776000 s" in is_done(try_run("prune", "--dry-run", data=other.data))
    for age in ["30", "d", "-1d", "0d", "1.5d", "30 d", ""]:
        is_usage_error(try_run("prune", "--older-than", age, data=server.data), "--older-than")
    assert len(server.api().ok("GET", f"/app/{app['id']}/msg")["data"]) == 1


# ---- the control socket ----


@contextlib.contextmanager
def folder_of(data):
    """A name of the folder that is short enough for a socket's address."""
    fd = os.open(data, os.O_PATH)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def ask(data, content, half_close=False):
    """All that is answered to these bytes."""
    with socket.socket(socket.AF_UNIX) as client, folder_of(data) as folder:
        client.settimeout(net(20))
        client.connect(f"{folder}/control.sock")
        try:
            client.sendall(content)
        except BrokenPipeError:
            pass
        if half_close:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := client.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    return answer


def error_of(answer):
    (line,) = answer.splitlines()
    (key,) = json.loads(line)
    assert key == "error"
    return json.loads(line)["error"]


@pytest.mark.smoke
def test_the_socket_comes_and_goes_with_the_server():
    with Server() as server:
        path = server.data / "control.sock"
        assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
        server.stop()
        assert not path.exists()
        server.start()
        server.kill()
        assert path.exists()
        is_failure(restore(server.data, server.data / "none"), "store")  # no server: not its answer
        assert "0 messages" in is_done(try_run("prune", data=server.data))
        server.start()
        assert "0 messages" in is_done(try_run("prune", data=server.data))
        inode = path.stat().st_ino
        # A second server is refused before it touches the socket.
        is_failure(try_run("serve", "--listen", "127.0.0.1:0", data=server.data), "another server")
        assert path.stat().st_ino == inode
        assert error_of(ask(server.data, b"{}\n"))


GARBAGE = {
    "no JSON": b"prune\n",
    "binary": bytes(range(256)).replace(b"\n", b"") + b"\n",
    "an empty line": b"\n",
    "an array": b"[]\n",
    "no command": b"{}\n",
    "unknown command": b'{"command":"stop"}\n',
    "unknown member": b'{"command":"prune","oldre_than_us":1}\n',
    "negative age": b'{"command":"prune","older_than_us":-5}\n',
    "relative path": b'{"command":"backup","path":"x"}\n',
    "path with NUL": b'{"command":"backup","path":"/tmp/a\\u0000b"}\n',
    "deep": b"[" * 10000 + b"\n",
    "two requests": b'{"command":"stop"}\n{"command":"stop"}\n',
}


@pytest.mark.smoke
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_refused_in_words(server, content):
    assert error_of(ask(server.data, content))


@pytest.mark.smoke
def test_requests_are_bounded_in_size_and_time(server):
    # The server may close before all of it was sent, which can take its words along.
    answer = ask(server.data, b"x" * 1000000)
    assert answer == b"" or "too long" in error_of(answer)
    assert ask(server.data, b"", half_close=True) == b""
    assert ask(server.data, b'{"command":', half_close=True) == b""
    start = time.monotonic()
    assert "in time" in error_of(ask(server.data, b'{"command"'))
    assert time.monotonic() - start < 30 * SLOWNESS
    assert "0 messages" in is_done(try_run("prune", data=server.data))


@pytest.mark.smoke
def test_many_clients_at_once(server):
    clients = [spawn("prune", "--dry-run", "--data", server.data) for _ in range(12)]
    outcomes = [(client.communicate(timeout=net(30)), client.returncode) for client in clients]
    for (out, err), code in outcomes:
        assert (code == 0 and "would delete" in out) or (code == 1 and "another" in err), (out, err)
    assert any(code == 0 for _, code in outcomes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused():
    with Server() as server:
        shutil.copy(BIN, server.data.parent / "posthorn")
        words = [server.data.parent / "posthorn", "prune", "--data", server.data]
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": clean_environment()}
        server.data.parent.chmod(0o755)
        server.data.chmod(0o755)
        stranger = subprocess.run(words, capture_output=True, text=True, **who)
        is_failure(stranger, "Permission denied")
        (server.data / "control.sock").chmod(0o666)  # the mode is not all that keeps strangers out
        stranger = subprocess.run(words, capture_output=True, text=True, **who)
        is_failure(stranger, "own user")


@pytest.mark.smoke
def test_a_long_path_has_a_socket_too(tmp_path):
    data = tmp_path / ("long-" * 30)
    with Server(data=data):
        assert (data / "control.sock").exists()
        is_done(backup(data, tmp_path / "copy"))
    assert not (data / "control.sock").exists()
    is_whole(tmp_path / "copy")


@pytest.mark.smoke
def test_doctor_checks_all_when_asked(server):
    assert "ok    store is whole\n" in run("doctor", "--full", data=server.data).stdout
