# SPDX-License-Identifier: Apache-2.0
"""--json of the commands that print what is neither a stream nor an answer of the API."""

import datetime
import json

import pytest
from harness import jwt
from harness.cli import try_run
from harness.server import run


def told(*words, **kwargs):
    done = run(*words, "--json", **kwargs)
    assert done.stderr == "" and done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_json_of_commands_on_a_store(server, api, app, data, tmp_path):
    api.send(app)
    assert told("migrate", data=tmp_path / "new")["applied"] > 0
    assert told("migrate", data=tmp_path / "new") == {"applied": 0}
    copy = tmp_path / "copy"
    backup = told("backup", str(copy), data=server.data)
    assert backup == {"file": str(copy), "bytes": copy.stat().st_size, "hasJwtSecret": True}
    restored = told("restore", str(copy), data=tmp_path / "restored")
    assert set(restored) == {"store", "takenAt", "replaced"} and restored["replaced"] is None
    again = told("restore", str(copy), "--force", data=tmp_path / "restored")
    assert "replaced-" in again["replaced"] and again["takenAt"] == restored["takenAt"]
    pruned = told("prune", "--older-than", "90d", "--dry-run", data=server.data)
    assert pruned == {"messages": 0, "payloads": 0, "deliveries": 0, "attempts": 0, "freedBytes": 0,
                      "olderThanSeconds": 7776000, "dryRun": True}
    assert told("key", "check", data=data) == {"dataKeys": 0, "sealed": 0, "plain": 0, "broken": 0}


@pytest.mark.smoke
def test_json_of_tokens_and_version(server, api, app):
    assert "posthorn " + told("version")["version"] + "\n" == run("version").stdout
    for words in (["jwt", "generate"], ["token", "create"], ["token", "create", "--app", app["id"]]):
        answer = told(*words, data=server.data)
        assert server.api(answer["token"]).get(f"/app/{app['id']}/msg").status_code == 200
        assert jwt.claims(answer["token"])["exp"] == int(
            datetime.datetime.fromisoformat(answer["expiresAt"].replace("Z", "+00:00")).timestamp()
        )


def test_json_of_doctor(server, data):
    well = told("doctor", data=server.data)
    assert well["ok"] and well["serverRuns"] and well["pendingDeliveries"] == 0
    assert {"check": "store opens", "ok": True, "advice": None} in well["checks"]
    (data / "jwt_secret").write_text("x" * 40)
    (data / "jwt_secret").chmod(0o644)
    done = try_run("doctor", "--json", data=data)
    ill = json.loads(done.stdout)
    assert done.returncode == 1 and not ill["ok"] and not ill["serverRuns"]
    (bad,) = [row for row in ill["checks"] if not row["ok"]]
    assert "secret" in bad["check"] and "chmod" in bad["advice"]
    nothing = json.loads(try_run("doctor", "--json", data=data / "none").stdout)
    assert nothing["pendingDeliveries"] is None and not nothing["ok"]
