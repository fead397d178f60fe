# SPDX-License-Identifier: Apache-2.0
"""The ledger: what the server answered 2xx is written down by its clients, the server is killed in
the middle of its work, again and again, and at the end every line of the ledger has to be true.

POSTHORN_CRASH_ROUNDS says how many kills, POSTHORN_CRASH_SEED repeats a run (the moments of the
kills follow the machine as well: a seed repeats the load and the plan, not every interleaving).
"""

import json
import os
import queue
import random
import re
import sqlite3
import time

import httpx
import pytest
from harness.cli import doctor, is_failure, try_run
from harness.ledger import (
    SEED,
    SETTINGS,
    Ledger,
    Load,
    check_deliveries,
    check_lists,
    kill_in_the_middle,
    kill_while_starting,
)
from harness.receiver import Receiver
from harness.server import Server, run
from harness.wait import SLOWNESS, net, wait_for

pytestmark = pytest.mark.crash

ROUNDS = int(os.environ.get("POSTHORN_CRASH_ROUNDS", "50"))


@pytest.mark.timeout(180 + 6 * ROUNDS * SLOWNESS)
def test_the_ledger_holds(tell):
    start = time.monotonic()
    rng = random.Random(SEED)
    start_kills, in_doubt, repeated = 0, 0, 0
    with Receiver() as receiver, Server(SETTINGS) as server:
        ledger = Ledger(server, receiver, rng)
        settled = 0  # posts before this one are certain, or have no key to ask by
        for number in range(ROUNDS):
            budget = rng.randint(100, 400)
            load = Load(ledger, f"{SEED}/{number}", budget)
            kill_in_the_middle(rng, server, load, budget)
            load.join()
            if rng.random() < 0.2:
                kill_while_starting(rng, server)
                start_kills += 1
            server.start()
            fresh, settled = ledger.posts[settled:], len(ledger.posts)
            doubtful = [post for post in fresh if post.status is None]
            in_doubt += len(doubtful)
            known = [post for post in ledger.acknowledged() if post.key]
            again = [post for post in doubtful if post.key] + rng.sample(known, min(8, len(known)))
            repeated += len(again)
            ledger.post_again(again)
        load_ended = time.monotonic()
        api = server.api()
        ledger.find_ids(api)
        # One more load without a kill: from here on nothing may be delivered twice.
        wait_for(
            lambda: not ledger.missing(), 60, lambda: f"missing: {ledger.missing()[:10]}", step=0.1
        )
        calm = Load(ledger, f"{SEED}/calm", 200)
        calm.join()
        wait_for(
            lambda: not ledger.missing(), 30, lambda: f"missing: {ledger.missing()[:10]}", step=0.1
        )
        wait_for(
            lambda: not ledger.unsettled(api), 30, lambda: f"{ledger.unsettled(api)[:5]}", step=0.2
        )
        duplicates = check_deliveries(
            ledger, {post.id for post in calm.posts}, ROUNDS + start_kills
        )
        check_lists(ledger, api)
        ledger.post_again([post for post in ledger.acknowledged() if post.key])
        check_lists(ledger, api)
        assert server.run("doctor").stdout.count("FAIL") == 0
        acknowledged = len(ledger.acknowledged())
    tell(
        f"crash: {ROUNDS} kills under load, {start_kills} while starting; "
        f"{len(ledger.posts)} messages sent, {acknowledged} acknowledged, "
        f"{in_doubt} in doubt at a kill, {len(ledger.missing())} lost; "
        f"{repeated} keys posted again after a kill; {duplicates} duplicate deliveries of "
        f"{sum(sum(ledger.successes(path).values()) for path in ledger.owner)}; "
        f"{load_ended - start:.1f} s of kills, {time.monotonic() - start:.1f} s in all"
    )
    assert acknowledged > 10 * ROUNDS, "there was hardly any load"


ORPHANS = """
    SELECT 'payload', message_id FROM payload WHERE message_id NOT IN (SELECT id FROM message)
    UNION ALL SELECT 'delivery', message_id FROM delivery
        WHERE message_id NOT IN (SELECT id FROM message)
    UNION ALL SELECT 'attempt', message_id FROM attempt
        WHERE message_id NOT IN (SELECT id FROM message)
    UNION ALL SELECT 'event id', message_id FROM message_event_id
        WHERE message_id NOT IN (SELECT id FROM message)
    UNION ALL SELECT 'message without payload', id FROM message
        WHERE id NOT IN (SELECT message_id FROM payload)
    LIMIT 10
"""


def retention_rows(server):
    text = httpx.get(server.url + "/metrics", trust_env=False, timeout=net(5)).text
    return int(re.search(r"^posthorn_retention_rows_total (\d+)", text, re.M).group(1))


@pytest.mark.timeout(120 + 10 * ROUNDS * SLOWNESS)
def test_kills_during_retention(tell):
    """Messages are kept for two seconds, so that every kill comes while some are being deleted: a
    message is there with all that belongs to it, or not at all."""
    rng = random.Random(SEED)
    settings = {**SETTINGS, "retention_days": "0.000023", "payload_retention_days": "1"}
    deleted = 0
    with Receiver() as receiver, Server(settings) as server:
        ledger = Ledger(server, receiver, rng)
        for number in range(max(5, ROUNDS // 10)):
            load = Load(ledger, f"{SEED}/{number}", 100000)
            enough = rng.randint(1, 3000)
            wait_for(lambda: retention_rows(server) >= enough, 15, "messages to be deleted", 0.005)
            deleted += enough
            server.kill()
            load.join()
            with sqlite3.connect(server.data / "posthorn.db") as store:
                orphans = store.execute(ORPHANS).fetchall()
            store.close()
            assert orphans == []
            server.start()
        assert server.run("doctor").stdout.count("FAIL") == 0
    tell(f"crash: over {deleted} rows deleted between kills, no part of a message left")
    assert deleted > 100


@pytest.mark.timeout(240)
def test_a_kill_during_the_very_first_start(tell):
    """A directory that was left in any state of its making is taken over by the next start."""
    rng = random.Random(SEED)
    unready = 0
    for _ in range(15):
        server = Server()
        ready = server.spawn()
        try:
            ready.get(timeout=rng.uniform(0, 0.04))
        except queue.Empty:
            unready += 1
        server.kill()
        with server:
            assert server.api().ok("GET", "/app")["data"] == []
    assert unready > 0, "every start was quicker than the kill"
    tell(
        f"crash: {unready} of 15 first starts were killed before they were ready; seed {SEED}"
    )


def test_what_was_changed_is_kept():
    """Not only messages: whatever was answered 2xx is there after a kill at once."""
    rng = random.Random(SEED)
    with Server() as server:
        api = server.api()
        app = api.new_app()
        root = f"/app/{app['id']}"
        endpoint = api.new_endpoint(app, "http://127.0.0.1:9/")
        for number in range(10):
            change = rng.choice(["app", "endpoint", "disabled", "headers", "rotate", "delete"])
            url = f"{root}/endpoint/{endpoint['id']}"
            if change == "app":
                api.ok("PATCH", root, {"name": f"name {number}"})
            elif change == "endpoint":
                api.ok("PATCH", url, {"description": f"words {number}"})
            elif change == "disabled":
                api.ok("PATCH", url, {"disabled": rng.random() < 0.5})
            elif change == "headers":
                api.ok("PUT", url + "/headers", {"headers": {"X-Number": str(number)}}, 204)
            elif change == "rotate":
                assert api.post(url + "/secret/rotate", {}).status_code in (200, 204)
            else:
                api.ok("DELETE", url, None, 204)
                endpoint = api.new_endpoint(app, "http://127.0.0.1:9/")
                url = f"{root}/endpoint/{endpoint['id']}"
            paths = [root, f"{root}/endpoint", url, url + "/headers", url + "/secret"]
            # What is shown is committed; the kill comes right after the last answer.
            before = {path: api.get(path).content for path in paths}
            api.ok("PATCH", root, {"metadata": {"round": str(number)}})
            server.kill()
            server.start()
            after = {path: api.get(path).content for path in paths}
            assert json.loads(after.pop(root))["metadata"] == {"round": str(number)}
            before.pop(root)
            assert after == before, change
        server.kill()
        with sqlite3.connect(server.data / "posthorn.db") as store:
            assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        server.start()


# ---- torn files ----


@pytest.fixture
def data(tmp_path):
    """A data directory with an up-to-date, empty store."""
    run("migrate", data=tmp_path / "data")
    return tmp_path / "data"


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
def test_an_empty_file_is_no_store(data):
    (data / "posthorn.db").write_bytes(b"")
    is_failure(try_run("prune", "--older-than", "30d", data=data), "no store of posthorn yet", "posthorn migrate")


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
