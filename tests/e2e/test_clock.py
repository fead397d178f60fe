# SPDX-License-Identifier: Apache-2.0
"""A wall clock that somebody sets while the server runs."""

import struct
import subprocess
from pathlib import Path

import pytest
from harness.api import FAIL, SUCCESS
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SANITIZED, wait_for

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "clock.so"
    source = Path(__file__).parent / "harness" / "clock_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class Clock:
    def __init__(self, path):
        self.path = path
        self.path.write_bytes(struct.pack("q", 0))

    def step(self, seconds):
        with self.path.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", int(seconds * 1e9)))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


def serve(shim, clock, settings=None):
    return Server(settings, env={"LD_PRELOAD": str(shim), "CLOCK_SHIM": str(clock.path)})


def test_a_step_forward_makes_retries_due(shim, clock, receiver, path):
    with serve(shim, clock, {"retry_schedule": "600"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        (first,) = api.wait_attempts(app, message)
        assert first["status"] == FAIL
        clock.step(3600)
        second = api.wait_final(app, message, endpoint, timeout=20)[-1]
        assert second["status"] == SUCCESS
        assert "clock stepped" in server.log()
        assert [request.message_id for request in receiver.requests(path)] == [message["id"]] * 2


def test_a_step_backward_sends_nothing_again(shim, clock, receiver, path):
    with serve(shim, clock) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        before = [api.send(app) for _ in range(20)]
        for message in before:
            api.wait_final(app, message, endpoint)
        clock.step(-600)
        after = [api.send(app) for _ in range(20)]
        for message in after:
            api.wait_final(app, message, endpoint)
        sent = [request.message_id for request in receiver.requests(path)]
        assert sorted(sent) == sorted(message["id"] for message in before + after)
        # Ids go on growing, so that lists and iterators keep their order.
        listed = [row["id"] for row in api.ok("GET", f"/app/{app['id']}/msg?limit=100")["data"]]
        assert listed == [message["id"] for message in reversed(before + after)]


def test_a_step_backward_across_a_restart(shim, clock, receiver, path):
    with serve(shim, clock, {"retry_schedule": "1"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(503))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        api.wait_attempts(app, message)
        server.kill()
        clock.step(-600)
        receiver.script(path, Reply(200))
        server.start()
        api = server.api()
        later = api.send(app)
        api.wait_final(app, later, endpoint)
        assert message["id"] < later["id"]
        clock.step(10)
        wait_for(lambda: api.wait_final(app, message, endpoint)[-1]["status"] == SUCCESS, 20, "the retry")
