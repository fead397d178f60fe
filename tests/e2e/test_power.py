# SPDX-License-Identifier: Apache-2.0
"""Loss of power: kill -9 proves nothing about fsync, because the kernel keeps what was written. Here
every byte that was not synced is taken back after the kill, and still each acknowledged message must
be there. A shim that counts no sync at all shows that the test would notice."""

import os
import random
import struct
import subprocess
from pathlib import Path

import pytest
from harness.ledger import SEED, SETTINGS, Ledger, Load, check_lists, kill_in_the_middle
from harness.receiver import Receiver
from harness.server import Server
from harness.wait import SANITIZED, SLOWNESS, wait_for

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first"),
]

ROUNDS = int(os.environ.get("POSTHORN_POWER_ROUNDS", "15"))
ENTRY = struct.Struct("QQQ")


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "power.so"
    source = Path(__file__).parent / "harness" / "power_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def entries(data):
    position = 0
    while position < len(data):
        offset, size, length = ENTRY.unpack_from(data, position)
        position += ENTRY.size
        yield offset, size, data[position : position + length]
        position += length


def take_back(folder):
    """Undo all that no sync has covered, the last write first. Returns how many writes that were."""
    count = 0
    for undo in folder.glob("*.undo"):
        with open(undo.with_suffix(""), "r+b") as file:
            for offset, size, old in reversed(list(entries(undo.read_bytes()))):
                file.seek(offset)
                file.write(old)
                file.truncate(size)
                count += 1
        undo.unlink()
    # The index of the write-ahead log is memory, not disk.
    for shared in folder.glob("*.db-shm"):
        shared.unlink()
    return count


def serve(shim, settings=None, lies=False):
    server = Server({**SETTINGS, **(settings or {})})
    server._env.update({"LD_PRELOAD": str(shim), "POWER_SHIM": str(server.data)})
    if lies:
        server._env["POWER_SHIM_LIES"] = "1"
    return server


@pytest.mark.timeout(120 + 10 * ROUNDS * SLOWNESS)
def test_each_202_follows_its_sync(shim, tell):
    rng = random.Random(SEED)
    taken_back = 0
    with Receiver() as receiver, serve(shim) as server:
        # Large enough together that half of the rounds end while the log is copied.
        ledger = Ledger(server, receiver, rng, noise_bytes=(600, 600, 60000, 200000))
        copied = 0
        for number in range(ROUNDS):
            budget = rng.randint(100, 400)
            load = Load(ledger, f"{SEED}/{number}", budget)
            kill_in_the_middle(rng, server, load, budget)
            load.join()
            copied += (server.data / "posthorn.db.undo").exists()
            taken_back += take_back(server.data)
            server.start()
        api = server.api()
        ledger.find_ids(api)
        check_lists(ledger, api)
        wait_for(
            lambda: not ledger.missing(), 60, lambda: f"missing: {ledger.missing()[:10]}", step=0.1
        )
        assert server.run("doctor").stdout.count("FAIL") == 0
    tell(
        f"power: {ROUNDS} losses, {copied} of them after copying had begun, {taken_back} writes "
        f"taken back, "
        f"{len(ledger.acknowledged())} messages acknowledged, none lost; seed {SEED}"
    )
    assert taken_back > 0, "nothing was ever unsynced: the shim sees nothing"


def test_without_syncs_messages_are_lost(shim):
    """The test above must be able to fail: a disk that forgets what was synced loses messages."""
    with Receiver() as receiver, serve(shim, lies=True) as server:
        ledger = Ledger(server, receiver, random.Random(SEED))
        load = Load(ledger, f"{SEED}/lies", 100)
        load.join()
        assert len(ledger.acknowledged()) == 100
        server.kill()
        assert take_back(server.data) > 0
        try:
            server.start()
            listed = server.api().get(f"/app/{ledger.apps[0]['id']}/msg")
            assert listed.status_code == 404 or not listed.json()["data"]
        except AssertionError as error:
            assert "did not get ready" in str(error)
