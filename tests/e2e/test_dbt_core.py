# SPDX-License-Identifier: Apache-2.0
"""The real dbt behind `posthorn dbt`, a real server, and a receiver of its webhooks."""

import itertools
import json
import os
import pty
import re
import signal
import subprocess

import pytest
from harness import dbt_core
from harness.dbt import Dbt, make_token, signature
from harness.server import BIN, Server
from harness.wait import SANITIZED, net
from harness.wrapper import children

_accounts = itertools.count(30000)
TYPES = ["job.run.started", "job.run.errored", "job.run.completed", "job.run.canceled"]
FAILED = "2 of 4 nodes failed: model broken, test not_null_orders_id"
pytestmark = [
    pytest.mark.timeout(900),  # the first one installs dbt
    pytest.mark.skipif(SANITIZED, reason="dbt takes the time, and test_dbt_wrapper.py has the wrapper's ways"),
]


@pytest.fixture(scope="module")
def programs():
    return dbt_core.environment()


class World:
    """A project, an account of a server, a webhook that wants everything, and what came to its receiver."""

    def __init__(self, server, receiver, path, programs, folder, **models):
        account = next(_accounts)
        self.receiver = receiver
        self.path = path
        self.dbt = Dbt(server, account, make_token(server, account))
        self.webhook = self.dbt.create(receiver.url(path), event_types=TYPES)
        self.token = make_token(server, account, "job_runner")
        self.project = dbt_core.Project(programs, folder / "shop", server.url, self.token, account, **models)

    def events(self, count):
        """So many events, in the order in which they came; each is signed."""
        events = []
        for request in self.receiver.wait(self.path, count, timeout=20):
            assert request.header("authorization") == signature(self.webhook["hmac_secret"], request.body)
            events.append(json.loads(request.body))
            assert events[-1]["accountId"] == self.dbt.account
        return sorted(events, key=lambda event: event["timestamp"])

    def types(self, count):
        return [event["eventType"] for event in self.events(count)]

    def run(self, event):
        return self.dbt.ok("GET", f"/api/v2/accounts/{self.dbt.account}/runs/{event['data']['runId']}/",
                           params={"include_related": '["run_steps"]'})["data"]

    def artifact(self, event, name):
        answer = self.dbt.request(
            "GET", f"/api/v2/accounts/{self.dbt.account}/runs/{event['data']['runId']}/artifacts/{name}")
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture
def world(server, receiver, path, programs, tmp_path):
    return World(server, receiver, path, programs, tmp_path)


def without_times(text):
    return re.sub(r"\d+(\.\d+)?s|\d\d:\d\d:\d\d|\d+\.\d+ seconds|[\d.]+ of a second", "T", text)


def test_a_run_with_failures(world):
    """Its output and exit code are those of dbt, and what was reported is what happened."""
    plain = world.project.plain("build")
    world.project.forget()
    wrapped = world.project.wrapped("build", flags=["--job", "41", "--name", "Nightly", "--environment", "production"])
    assert plain.returncode == wrapped.returncode == 1
    assert without_times(plain.stdout) == without_times(wrapped.stdout) and "broken" in plain.stdout
    assert plain.stderr == wrapped.stderr == ""
    started, errored, completed = world.events(3)
    assert [event["eventType"] for event in (started, errored, completed)] == TYPES[:3]
    assert len({event["eventId"] for event in (started, errored, completed)}) == 3
    assert len({event["data"]["runId"] for event in (started, errored, completed)}) == 1
    for event, status, code in [(started, "Running", 3), (errored, "Errored", 20), (completed, "Errored", 20)]:
        data = event["data"]
        assert (data["runStatus"], data["runStatusCode"]) == (status, code)
        assert (data["jobId"], data["jobName"], data["environmentName"]) == ("41", "Nightly", "production")
        assert data["projectName"] == "shop" and data["dbtVersion"] == "1.11.16"
        assert data["runReason"] and data["runStartedAt"] == started["data"]["runStartedAt"]
    assert started["data"]["runStatusMessage"] == "None"
    assert errored["data"]["runStatusMessage"] == completed["data"]["runStatusMessage"] == FAILED
    # What completed promises: the artifacts can be read.
    ours = json.loads((world.project.folder / "target/run_results.json").read_text())
    assert world.artifact(completed, "run_results.json").json() == ours
    theirs = world.artifact(completed, "manifest.json").content
    assert theirs == (world.project.folder / "target/manifest.json").read_bytes()
    run = world.run(completed)
    assert run["status"] == 20 and run["status_message"] == FAILED
    (step,) = run["run_steps"]
    assert step["name"] == "Invoke dbt with `dbt build`" and "PASS=" in step["logs"]
    assert not world.receiver.requests(world.path)[3:]


def test_a_project_that_cannot_be_read(world):
    world.project.write("orders.sql", "select {{ nonsense(")
    assert world.project.wrapped("build").returncode == 2
    started, errored, completed = world.events(3)
    assert errored["data"]["runStatusMessage"] == "dbt command failed"


def test_runs_that_succeed(world, tmp_path):
    """Artifacts are where dbt puts them, whichever way it was told."""
    folder = world.project.folder
    (tmp_path / "elsewhere").mkdir()
    ways = [
        (["--profiles-dir", "..", "--target-path", str(tmp_path / "absolute")], {}, folder / "models"),
        (["--project-dir", "../shop", "--profiles-dir", "../shop", "--target-path", "out"], {}, tmp_path / "elsewhere"),
        ([], {"DBT_PROJECT_DIR": str(folder), "DBT_PROFILES_DIR": str(folder), "DBT_TARGET_PATH": "by_variable"},
         tmp_path / "elsewhere"),
    ]
    for count, (words, env, cwd) in enumerate(ways, 1):
        words = ["build", "--select", "good", *words]
        command = [BIN, "dbt", "--", "dbt", *words]
        done = subprocess.run(command, cwd=cwd, env=world.project.environment(**env), capture_output=True, text=True,
                              timeout=net(120))
        assert done.returncode == 0 and done.stderr == "", (words, done.stdout, done.stderr)
        started, completed = world.events(2 * count)[-2:]
        assert [started["eventType"], completed["eventType"]] == ["job.run.started", "job.run.completed"]
        assert (completed["data"]["runStatus"], completed["data"]["runStatusMessage"]) == ("Success", "None")
        assert completed["data"]["jobName"] == " ".join(["dbt", *words])
        results = world.artifact(completed, "run_results.json").json()
        assert [row["unique_id"] for row in results["results"]] == ["model.shop.good"], words
        assert completed["data"]["environmentName"] == "dev" and completed["data"]["projectName"] == "shop"


def test_ctrl_c_is_a_cancellation(server, receiver, path, programs, tmp_path):
    world = World(server, receiver, path, programs, tmp_path, **{"endless.sql": dbt_core.ENDLESS})
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(world.project.folder)
        os.execve(BIN, [BIN, "dbt", "--", "dbt", "run"], world.project.environment())
    text = b""
    while b"START sql table model" not in text and b"START sql view model" not in text:
        text += os.read(terminal, 4096)
    assert children(pid)
    os.write(terminal, b"\x03")
    try:
        while piece := os.read(terminal, 4096):
            text += piece
    except OSError:
        pass  # the other side is closed
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert code not in (0, -signal.SIGINT), text
    started, canceled = world.events(2)
    assert [started["eventType"], canceled["eventType"]] == ["job.run.started", "job.run.canceled"], text
    assert canceled["data"]["runStatusCode"] == 30
    assert canceled["data"]["runStatusMessage"] == "cancelled by SIGINT"


def test_a_server_that_is_away(receiver, path, programs, tmp_path):
    """Two runs without a server; every event comes once when it is back, and with the artifacts of its run."""
    with Server() as server:
        world = World(server, receiver, path, programs, tmp_path)
        server.stop()
        for select in ("good", "orders"):
            done = world.project.wrapped("build", "--select", select)
            assert done.returncode == (0 if select == "good" else 1)
            assert done.stderr.count("\n") == 1 and "not reported yet" in done.stderr
        assert not receiver.requests(path)
        server.start()
        done = world.project.flush()
        assert done.stdout == "sent 2, refused 0, left 0\n"
        events = world.events(5)
        assert sorted(event["eventType"] for event in events) == sorted(
            ["job.run.started", "job.run.completed"] * 2 + ["job.run.errored"])
        names = []
        for event in events:
            if event["eventType"] == "job.run.completed":
                nodes = world.artifact(event, "run_results.json").json()["results"]
                names.append({node["unique_id"].split(".")[2] for node in nodes})
        assert names == [{"good"}, {"orders", "not_null_orders_id"}]
        assert world.project.flush().stdout == "sent 0, refused 0, left 0\n"
        # Every one once: what comes later comes alone.
        assert world.project.other("true").returncode == 0
        assert [event["data"]["jobName"] for event in world.events(7)[5:]] == ["true"] * 2
