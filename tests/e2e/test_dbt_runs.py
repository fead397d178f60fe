# SPDX-License-Identifier: Apache-2.0
"""Runs that are reported to the dbt surface, and the events that come of them."""

import itertools
import json
import sqlite3
import time

import pytest
from harness.dbt import FINISHED, NOT_FOUND, RUN, Dbt, is_error, make_token, signature
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SLOWNESS, wait_for

_accounts = itertools.count(30000)
_runs = itertools.count(9007199254000000)

ENDS = {10: "Success", 20: "Errored", 30: "Cancelled"}
RESULTS = {"metadata": {"dbt_version": "1.9.2"}, "elapsed_time": 1.5, "results": [
    {"unique_id": "model.acme.good", "status": "success", "message": "OK", "execution_time": 0.25, "failures": None,
     "timing": [{"name": "compile"}], "compiled_code": "select \"1\""},
    {"unique_id": "model.acme.bad", "status": "error", "message": "Database Error\nline \u00fc", "execution_time": 0.5},
    {"unique_id": "test.acme.odd", "status": "fail", "message": "Got 3 results", "execution_time": 1, "failures": 3},
    {"unique_id": "model.acme.after", "status": "skipped", "message": None, "execution_time": 0}]}


def make(server, *permissions):
    account = next(_accounts)
    return Dbt(server, account, make_token(server, account, *permissions))


@pytest.fixture
def dbt(server):
    return make(server)


@pytest.fixture
def run():
    return next(_runs)


def end(status, **fields):
    return {"status": status, "finished_at": FINISHED, **fields}


def events(server, dbt):
    """The run events of the account, the oldest first: (type without job.run., payload)."""
    listed = server.api().ok("GET", f"/app/dbt.{dbt.account}/msg", params={"limit": 100})["data"]
    rows = sorted((row["payload"]["timestamp"], row["eventType"].removeprefix("job.run."), row["payload"])
                  for row in listed if row["eventType"].startswith("job.run."))
    return [(kind, payload) for _, kind, payload in rows]


def kinds(server, dbt):
    return [kind for kind, _ in events(server, dbt)]


# ---- reports ----


def test_a_run_from_start_to_end(server, dbt, receiver, path, run):
    webhook = dbt.create(receiver.url(path), event_types=["job.run.started", "job.run.completed", "job.run.errored"])
    assert dbt.reported(run, 201, status=1, started_at=None)["status_humanized"] == "Queued"
    assert kinds(server, dbt) == []
    assert dbt.reported(run, 200)["in_progress"] is True
    dbt.reported(run, 200, **end(10))
    assert kinds(server, dbt) == ["started"]
    dbt.ingested(run)
    assert kinds(server, dbt) == ["started", "completed"]
    requests = receiver.wait(path, 2)
    assert all(request.header("authorization") == signature(webhook["hmac_secret"], request.body)
               for request in requests)
    bodies = {body["eventType"]: body for body in (json.loads(request.body) for request in requests)}
    common = {"jobId": "41", "jobName": "Daily", "runId": str(run), "environmentId": "72",
              "environmentName": "production", "dbtVersion": "1.9.2", "projectName": "Acme", "projectId": "6"}
    started, completed = bodies["job.run.started"]["data"], bodies["job.run.completed"]["data"]
    expected = {**common, "runStatus": "Running", "runStatusCode": 3, "runStatusMessage": "None", "runReason": "cli",
                "runStartedAt": "2024-05-06T07:08:09Z"}
    assert started == expected and list(started) == list(expected)
    expected = {**common, "runStatus": "Success", "runStatusCode": 10, "runStatusMessage": "None", "runReason": "cli",
                "runStartedAt": "2024-05-06T07:08:09Z", "runFinishedAt": "2024-05-06T07:09:10Z"}
    assert completed == expected and list(completed) == list(expected)
    assert "run" not in bodies["job.run.completed"]


def test_a_failed_run(server, dbt, receiver, path, run):
    dbt.create(receiver.url(path), event_types=["job.run.errored", "job.run.completed"])
    dbt.reported(run)
    dbt.reported(run, **end(20, status_message="dbt command failed"))
    (request,) = receiver.wait(path)  # at once
    body = json.loads(request.body)
    assert body["eventType"] == "job.run.errored" and list(body["data"])[-1] == "runErroredAt"
    assert body["data"]["runErroredAt"] == "2024-05-06T07:09:10Z"
    assert body["data"]["runStatus"] == "Errored" and body["data"]["runStatusMessage"] == "dbt command failed"
    assert kinds(server, dbt) == ["started", "errored"]
    dbt.ingested(run)
    assert kinds(server, dbt) == ["started", "errored", "completed"]
    second = json.loads(receiver.wait(path, 2)[1].body)
    assert second["eventType"] == "job.run.completed" and second["data"]["runStatusCode"] == 20
    assert second["eventId"] != body["eventId"]


def test_a_cancelled_run_is_told_to_those_who_ask(server, dbt, receiver, path, run):
    dbt.create(receiver.url(path + "/three"))
    dbt.create(receiver.url(path + "/canceled"), event_types=["job.run.canceled"])
    dbt.reported(run)
    dbt.reported(run, **end(30))
    dbt.ingested(run)
    assert kinds(server, dbt) == ["started", "canceled"]
    data = json.loads(receiver.wait(path + "/canceled")[0].body)["data"]
    assert data["runStatus"] == "Cancelled" and data["runStatusCode"] == 30
    assert not receiver.requests(path + "/three")


def test_profile_c_completes_what_was_cancelled(receiver, path, run):
    with Server({"dbt.profile": "C"}) as server:
        dbt = make(server)
        dbt.create(receiver.url(path))
        dbt.reported(run)
        dbt.reported(run, **end(30))
        dbt.ingested(run)
        body = json.loads(receiver.wait(path)[0].body)
        assert body["eventType"] == "job.run.completed" and body["data"]["runStatus"] == "Canceled"
        assert kinds(server, dbt) == ["started", "canceled", "completed"]


@pytest.mark.parametrize("status", [1, 2, 3, 10, 20, 30])
def test_the_first_report_may_be_of_any_state(server, dbt, run, status):
    fields = end(status) if status >= 10 else {"status": status}
    assert dbt.reported(run, 201, **fields)["status"] == status
    told = {1: [], 2: [], 3: ["started"], 10: ["started"], 20: ["started", "errored"], 30: ["started", "canceled"]}
    assert kinds(server, dbt) == told[status]


def test_an_end_without_a_start_does_not_tell_one(server, dbt, run):
    dbt.reported(run, 201, **end(20, started_at=None))
    (kind, payload), = events(server, dbt)
    assert kind == "errored" and payload["data"]["runStartedAt"] == ""


def test_every_move(server, dbt):
    """Forward, over states, and to itself; not back, and not from one end to another."""
    codes = [1, 2, 3, 10, 20, 30]
    for before, after in itertools.product(codes, codes):
        run = next(_runs)
        dbt.reported(run, 201, status=before)
        allowed = before == after or (before < 10 and after > before)
        response = dbt.report(run, status=after)
        assert response.status_code == (200 if allowed else 409), (before, after, response.text)
        if not allowed:
            words = is_error(response, 409)["status"]["developer_message"]
            assert str(before) in words and str(after) in words
        shown = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}/")["data"]
        assert shown["status"] == (after if allowed else before)


def test_a_repetition_changes_nothing(server, dbt, run):
    steps = [{"name": "dbt build", "status": 3, "logs": "a\nb"}]
    dbt.reported(run, 201, run_steps=steps)
    first = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}")["data"]
    for _ in range(2):
        dbt.reported(run, 200, run_steps=steps)
    again = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}")["data"]
    assert again["updated_at"] == first["updated_at"] and kinds(server, dbt) == ["started"]
    dbt.reported(run, 200, run_steps=[{"name": "dbt build", "status": 3, "logs": "a\nb\nc"}])
    changed = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}")["data"]
    assert changed["updated_at"] > first["updated_at"] and kinds(server, dbt) == ["started"]
    for _ in range(2):
        dbt.reported(run, 200, **end(20))
        dbt.ingested(run)
    assert kinds(server, dbt) == ["started", "errored", "completed"]


def test_ingested_before_the_end(server, dbt, run):
    """Whichever comes last completes the run."""
    dbt.reported(run)
    dbt.ingested(run)
    assert kinds(server, dbt) == ["started"]
    dbt.reported(run, **end(10))
    assert kinds(server, dbt) == ["started", "completed"]


WRONG = [
    ({"job_id": None}, {"job_id": None}), ({"job_id": "41"}, {"job_id": None}), ({"job_id": 0}, {"job_id": None}),
    ({"job_name": 5}, {"job_name": None}), ({"job_name": "x" * 1025}, {"job_name": None}),
    ({"environment_id": -1}, {"environment_id": None}), ({"project_id": 2**60}, {"project_id": None}),
    ({"environment_name": None}, {"environment_name": None}), ({"project_name": []}, {"project_name": None}),
    ({"status": 4}, {"status": None}), ({"status": "Success"}, {"status": None}), ({"status": None}, {"status": None}),
    ({"started_at": "yesterday"}, {"started_at": None}), ({"finished_at": 5}, {"finished_at": None}),
    ({"started_at": "0001-01-01T00:00:00+14:00"}, {"started_at": None}),
    ({"href": "javascript:alert(1)"}, {"href": None}), ({"git_branch": 1}, {"git_branch": None}),
    ({"run_steps": {}}, {"run_steps": None}), ({"run_steps": [1]}, {"run_steps": None}),
    ({"run_steps": [{"status": 3}]}, {"run_steps": None}), ({"run_steps": [{"name": "x", "status": 7}]},
                                                            {"run_steps": None}),
    ({"run_steps": [{"name": "x", "status": 3}] * 101}, {"run_steps": None}),
]


@pytest.mark.parametrize("fields, where", WRONG, ids=[json.dumps(fields)[:40] for fields, _ in WRONG])
def test_a_wrong_report_names_the_field(dbt, run, fields, where):
    body = is_error(dbt.report(run, **fields), 400)
    assert list(body["data"]) == list(where), body
    is_error(dbt.request("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}/"), 404)


@pytest.mark.parametrize("missing", ["job_id", "job_name", "environment_id", "environment_name", "project_id",
                                     "project_name", "status"])
def test_what_a_report_must_have(dbt, run, missing):
    report = {key: value for key, value in RUN.items() if key != missing}
    body = is_error(dbt.request("PUT", dbt.run_path(run), report), 400)
    assert body["data"] == {missing: "required key not provided"}


def test_bodies_that_are_no_report(dbt, run):
    for content in (b"", b"[]", b"{", b"\xff"):
        is_error(dbt.request("PUT", dbt.run_path(run), content=content), 400)
    for number in ("0", "-1", "x", "9" * 30, "01", str(2**53)):
        is_error(dbt.report(number), 404, user_message=NOT_FOUND)
        is_error(dbt.request("POST", dbt.run_path(number, "/ingested")), 404)
    is_error(dbt.request("POST", dbt.run_path(run, "/ingested")), 404, user_message=NOT_FOUND)


@pytest.mark.parametrize("permission, allowed", [("job_admin", True), ("job_runner", True), ("developer", True),
                                                 ("admin", True), ("account_admin", True), ("webhooks_only", False),
                                                 ("job_viewer", False), ("readonly", False), ("member", False)])
def test_who_may_report_and_read(server, run, permission, allowed):
    dbt = make(server, permission)
    response = dbt.report(run)
    assert response.status_code == (201 if allowed else 403), response.text
    for path in (f"/api/v2/accounts/{dbt.account}/runs/", f"/api/v2/accounts/{dbt.account}/runs/{run}/"):
        assert dbt.request("GET", path).status_code == (200 if allowed else 403)
    assert dbt.upload(run, "a.txt", b"x").status_code == (201 if allowed else 403)
    other = make(server)
    is_error(dbt.request("PUT", other.run_path(run), RUN), 404)
    is_error(other.request("GET", f"/api/v2/accounts/{other.account}/runs/{run}/"), 404)
    is_error(Dbt(server, dbt.account, "").report(run), 401)


# ---- the wait for artifacts ----


def test_a_wait_that_passes(receiver, path, run):
    with Server({"dbt.artifact_wait": "0.4"}) as server:
        dbt = make(server)
        plain = dbt.create(receiver.url(path + "/plain"))
        rich = dbt.create(receiver.url(path + "/rich"))
        dbt.ok("PUT", dbt.extension(rich, "delivery"), {"enrich": True})
        dbt.reported(run)
        before = time.time()
        dbt.reported(run, **end(10))
        (request,) = receiver.wait(path + "/rich")
        assert 0.4 <= request.wall - before < 30 * SLOWNESS
        assert json.loads(request.body)["run"] == {"artifacts_incomplete": True}
        assert "run" not in json.loads(receiver.wait(path + "/plain")[0].body) and plain
        # What comes too late is taken, and told nobody.
        dbt.uploaded(run, "manifest.json", b"{}")
        dbt.ingested(run)
        assert kinds(server, dbt) == ["started", "completed"]
        line = "\nposthorn_dbt_artifact_waits_passed_total 1\n"
        wait_for(lambda: line in dbt._http.get(server.url + "/metrics").text, 5, "it to be counted")


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_wait_outlives_the_server(receiver, path, ending):
    with Server({"dbt.artifact_wait": "1.5"}) as server:
        dbt = make(server)
        dbt.create(receiver.url(path))
        runs = [next(_runs) for _ in range(3)]
        for run in runs:
            dbt.reported(run, **end(10))
        dbt.ingested(runs[2])
        receiver.wait(path)
        (server.stop if ending == "stop" else server.kill)()
        server.start()
        # What was not recorded before a kill is sent again: at least once.
        wait_for(lambda: {json.loads(request.body)["data"]["runId"] for request in receiver.requests(path)}
                 == {str(run) for run in runs}, 15)
        assert kinds(server, dbt).count("completed") == 3


def test_many_waits_that_pass_at_once(receiver, path):
    with Server({"dbt.artifact_wait": "0"}) as server:
        dbt = make(server)
        dbt.create(receiver.url(path))
        for _ in range(30):
            dbt.reported(next(_runs), **end(10))
        receiver.wait(path, 30, timeout=20)
        assert len(receiver.requests(path)) == 30


def test_a_run_that_cannot_be_told_of_holds_up_nobody(receiver, path):
    with Server({"dbt.artifact_wait": "4"}) as server:
        dbt = make(server)
        dbt.create(receiver.url(path))
        broken, good = next(_runs), next(_runs)
        dbt.reported(broken, **end(10))
        with sqlite3.connect(f"{server.data}/posthorn.db") as store:
            store.execute("UPDATE dbt_run SET report = '{}' WHERE number = ?", (broken,))
        dbt.reported(good, **end(10))
        (request,) = receiver.wait(path)
        assert json.loads(request.body)["data"]["runId"] == str(good)
        wait_for(lambda: "stored report of a run is broken" in server.log(), 5, "words about the other one")


# ---- how it is delivered ----


def deliveries(receiver, path, count):
    return [json.loads(request.body) for request in receiver.wait(path, count)]


def test_collapse_wait_and_enrich(server, dbt, receiver, path, run):
    both = ["job.run.errored", "job.run.completed"]
    for name, delivery in {"plain": {}, "collapse": {"collapse": True}, "wait": {"wait_for_artifacts": True},
                           "one": {"collapse": True, "wait_for_artifacts": True}}.items():
        webhook = dbt.create(receiver.url(f"{path}/{name}"), event_types=both)
        dbt.ok("PUT", dbt.extension(webhook, "delivery"), {"enrich": True, **delivery})
    dbt.reported(run, git_branch="main", git_sha="ab12", href="https://ci.example/7", job_type="ci")
    dbt.reported(run, git_branch="main", git_sha="ab12", href="https://ci.example/7", job_type="ci", **end(20))
    known = {"href": "https://ci.example/7", "git_branch": "main", "git_sha": "ab12", "job_type": "ci"}
    for name in ("plain", "collapse"):
        (body,) = deliveries(receiver, f"{path}/{name}", 1)
        assert body["eventType"] == "job.run.errored" and body["run"] == known
        assert list(body)[-2:] == ["data", "run"]
    assert not receiver.requests(path + "/wait") and not receiver.requests(path + "/one")
    dbt.uploaded(run, "run_results.json", json.dumps(RESULTS).encode())
    dbt.ingested(run)
    failed = [{"unique_id": "model.acme.bad", "status": "error", "message": "Database Error\nline \u00fc"},
              {"unique_id": "test.acme.odd", "status": "fail", "message": "Got 3 results"}]
    full = {**known, "failed_nodes": failed, "failed_nodes_total": 2}
    (completed,) = deliveries(receiver, path + "/plain", 2)[1:]
    assert completed["eventType"] == "job.run.completed" and completed["run"] == full
    (one,) = deliveries(receiver, path + "/one", 1)
    assert one["eventType"] == "job.run.completed" and one["run"] == full
    waited = {body["eventType"]: body["run"] for body in deliveries(receiver, path + "/wait", 2)}
    assert waited == {"job.run.errored": full, "job.run.completed": full}
    # Nothing more comes: a further run is the next thing that each hears of.
    other = next(_runs)
    dbt.reported(other, **end(10))
    dbt.ingested(other)
    for name, count in {"plain": 3, "collapse": 2, "wait": 3, "one": 2}.items():
        bodies = deliveries(receiver, f"{path}/{name}", count)
        assert bodies[-1]["data"]["runId"] == str(other), name


def test_filters(dbt, receiver, path):
    filters = {"environment": {"environment_ids": [72]}, "status": {"statuses": ["Errored"]},
               "name": {"job_name_regex": "^Nightly"}, "project": {"project_ids": [6, 7]}}
    for name, wanted in filters.items():
        webhook = dbt.create(receiver.url(f"{path}/{name}"))
        dbt.ok("PUT", dbt.extension(webhook, "delivery"), {"filters": wanted})
    runs = {}
    for name, fields in {"a": {"environment_id": 72, "status": 10}, "b": {"environment_id": 73, "status": 20},
                         "c": {"environment_id": 73, "status": 10, "job_name": "Nightly build"},
                         "d": {"environment_id": 72, "status": 10, "project_id": 8}}.items():
        runs[name] = next(_runs)
        dbt.reported(runs[name], finished_at=FINISHED, **fields)
        dbt.ingested(runs[name])
    expected = {"environment": "ad", "status": "b", "name": "c", "project": "abc"}
    for name, letters in expected.items():
        bodies = deliveries(receiver, f"{path}/{name}", len(letters))
        assert {body["data"]["runId"] for body in bodies} == {str(runs[letter]) for letter in letters}, name


def test_an_event_is_retried_as_any_other(dbt, receiver, path, run):
    receiver.script(path, Reply(status=500), Reply(status=200))
    dbt.create(receiver.url(path), event_types=["job.run.started"])
    dbt.reported(run)
    first, second = receiver.wait(path, 2)
    assert first.body == second.body


def test_failed_nodes_are_few_and_short(dbt, receiver, path, run):
    webhook = dbt.create(receiver.url(path))
    dbt.ok("PUT", dbt.extension(webhook, "delivery"), {"enrich": True})
    results = [{"unique_id": f"model.m{number}", "status": "error", "message": "\u00fc" * 5000} for number in range(50)]
    dbt.reported(run)
    dbt.uploaded(run, "run_results.json", json.dumps({"results": results}, ensure_ascii=False).encode())
    dbt.reported(run, **end(20))
    dbt.ingested(run)
    told = json.loads(receiver.wait(path)[0].body)["run"]
    assert told["failed_nodes_total"] == 50
    assert [node["unique_id"] for node in told["failed_nodes"]] == [f"model.m{number}" for number in range(20)]
    assert {node["message"] for node in told["failed_nodes"]} == {"\u00fc" * 250}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"results":5}', b'{"results":[1,{"status":"error"}]}'])
def test_results_that_are_none(server, dbt, run, content):
    """They keep nothing from being told."""
    dbt.reported(run)
    dbt.uploaded(run, "run_results.json", content)
    dbt.reported(run, **end(20))
    dbt.ingested(run)
    assert kinds(server, dbt) == ["started", "errored", "completed"]


# ---- the end of old runs ----


def test_old_runs_are_deleted(run):
    days = 8 / 86400
    with Server({"dbt.run_days": f"{days:.8f}"}) as server:
        dbt = make(server)
        dbt.reported(run, **end(10))
        dbt.uploaded(run, "manifest.json", b"{}")
        dbt.ingested(run)
        path = f"/api/v2/accounts/{dbt.account}/runs/{run}/"
        wait_for(lambda: dbt.request("GET", path).status_code == 404, 15)
        is_error(dbt.request("GET", path + "artifacts/manifest.json"), 404)
        jobs = f"/api/v2/accounts/{dbt.account}/jobs/"
        wait_for(lambda: dbt.ok("GET", jobs)["data"] == [], 15)
        dbt.reported(run, 201)  # it is new again
