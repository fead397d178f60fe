# SPDX-License-Identifier: Apache-2.0
"""A small disk that fills up while messages come in: they are refused and not lost, and all goes on when
there is room again. The disk is a tmpfs in a mount namespace of the server's own; that takes root."""

import os
import shutil
from pathlib import Path

import pytest
from harness import jwt
from harness.receiver import Receiver
from harness.server import Server
from harness.wait import wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting takes root"
)

SECRET = "a secret of the test of a full disk"
ORGANISATION = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
MOUNT = (
    'mkdir -p "$1" && mount -t tmpfs -o size=24m none "$1" && chmod 700 "$1" && '
    'head -c 8388608 /dev/zero > "$1/ballast" && shift && exec "$@"'
)


class SmallDisk(Server):
    """The same process all along: `unshare` and `sh` become the server."""

    def command(self):
        words = super().command()
        return ["unshare", "--mount", "sh", "-c", MOUNT, "sh", str(self.data), *words]

    def inside(self, name):
        return Path(f"/proc/{self.pid}/root{self.data}/{name}")


def test_a_full_disk_loses_nothing():
    settings = {"jwt_secret": SECRET, "retry_schedule": ",".join(["0.2"] * 30), "core_dumps": "true"}
    with Receiver() as receiver, SmallDisk(settings) as server:
        api = server.api(jwt.make(SECRET, sub=ORGANISATION))
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url("/full"))
        path = f"/app/{app['id']}/msg"
        taken = {}

        def post(number):
            pad = f"{number}:" + "x" * 60000
            response = api.post(path, {"eventType": "a", "payload": {"pad": pad}})
            if response.status_code == 202:
                taken[response.json()["id"]] = pad
            return response

        # A refusal takes 0.2 s while attempts wait to be recorded, too.
        refused = []
        for number in range(400):
            answer = post(number)
            refused += [answer] if answer.status_code != 202 else []
            if len(refused) == 40:
                break
        assert len(taken) > 20 and refused, "the disk was too large, or too small"
        assert {answer.status_code for answer in refused} <= {503, 507}
        assert all(answer.headers["retry-after"] for answer in refused)
        assert all(str(server.data) not in answer.text for answer in refused)
        assert "full" in server.log()
        assert api.ok("GET", f"/app/{app['id']}")["id"] == app["id"], "reading goes on"
        server.inside("ballast").unlink()
        wait_for(lambda: post(1000).status_code == 202, 20, "messages to be taken again")
        arrived = lambda: {request.message_id for request in receiver.requests("/full")}  # noqa: E731
        wait_for(lambda: taken.keys() <= arrived(), 30, lambda: f"{len(taken.keys() - arrived())} more")
        for message, pad in taken.items():
            assert api.ok("GET", f"{path}/{message}")["payload"] == {"pad": pad}
        attempts = api.wait_final(app, {"id": next(iter(taken))}, endpoint, timeout=20)
        assert attempts[-1]["status"] == 0
