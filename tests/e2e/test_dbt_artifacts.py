# SPDX-License-Identifier: Apache-2.0
"""Artifacts of runs, and the Admin API that receivers read them by."""

import contextlib
import hashlib
import itertools
import json
import os
import re
import socket
import sqlite3
import threading

import pytest
from harness.dbt import FINISHED, NOT_FOUND, RUN, Dbt, is_error, make_token
from harness.server import Server
from harness.wait import SANITIZED, net, wait_for

_accounts = itertools.count(40000)
_runs = itertools.count(700000)
MIB = 1 << 20
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00$")


def make(server, *permissions):
    account = next(_accounts)
    return Dbt(server, account, make_token(server, account, *permissions))


@pytest.fixture
def dbt(server):
    return make(server)


@pytest.fixture
def run(dbt):
    number = next(_runs)
    dbt.reported(number)
    return number


def read(dbt, run, path):
    return dbt.request("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}/artifacts/{path}")


def listed(dbt, run):
    return dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/{run}/artifacts/")["data"]


# ---- artifacts ----


@pytest.mark.parametrize("size", [0, 1, 65536, 262143, 262144, 262145, 600000, 3 * 262144])
def test_bytes_come_back(dbt, run, size):
    content = os.urandom(size)
    assert dbt.uploaded(run, "x.bin", content)["bytes"] == size
    response = read(dbt, run, "x.bin")
    assert response.status_code == 200 and response.content == content
    assert response.headers["content-length"] == str(size)
    assert response.headers["x-content-type-options"] == "nosniff"
    path = f"/api/v2/accounts/{dbt.account}/runs/{run}/artifacts/x.bin"
    head = dbt.request("HEAD", path)
    assert head.status_code == 200 and head.headers["content-length"] == str(size) and head.content == b""
    assert dbt.request("GET", path).content == content  # the connection goes on


def test_types_and_paths(dbt, run):
    types = {"manifest.json": "application/json", "compiled/acme/models/a.sql": "text/plain; charset=utf-8",
             "index.html": "application/octet-stream", "dbt.log": "text/plain; charset=utf-8",
             "a b/\u00fc+%.json": "application/json"}
    for path in types:
        quoted = path.replace("%", "%25").replace(" ", "%20").replace("+", "%2B")
        response = dbt.upload(run, quoted, path.encode())
        assert response.status_code == 201 and response.json()["data"]["path"] == path
        response = read(dbt, run, quoted)
        assert response.content == path.encode() and response.headers["content-type"] == types[path]
    assert listed(dbt, run) == sorted(types, key=str.encode)


@pytest.mark.parametrize("path", ["..", "a/../b", "a//b", ".", "a/./b", "%2e%2e/x", "a%2F..%2Fb", "a%00b", "a%5Cb",
                                  "x" * 1025, "a%0Ab", "%2Fa"])
def test_paths_that_are_none(dbt, run, path):
    with begin_upload(dbt, run, path, 1, 1) as sock:  # as it stands: clients resolve some of these themselves
        answer = sock.recv(1000)
    assert answer.split()[1] in (b"400", b"404"), answer
    assert listed(dbt, run) == []


def test_an_upload_replaces_the_former(dbt, run):
    dbt.uploaded(run, "manifest.json", b"1" * 300000)
    dbt.uploaded(run, "manifest.json", b"2" * 10, status=200)
    assert read(dbt, run, "manifest.json").content == b"2" * 10 and listed(dbt, run) == ["manifest.json"]


def test_nothing_comes_after_ingested(dbt, run):
    dbt.uploaded(run, "manifest.json", b"{}")
    dbt.ingested(run)
    is_error(dbt.upload(run, "manifest.json", b"[]"), 409)
    is_error(dbt.upload(run, "catalog.json", b"{}"), 409)
    assert read(dbt, run, "manifest.json").content == b"{}" and listed(dbt, run) == ["manifest.json"]


def test_the_latest_of_a_job(dbt):
    def latest(path, job=41):
        return dbt.request("GET", f"/api/v2/accounts/{dbt.account}/jobs/{job}/artifacts/{path}")

    for number, (job, content) in enumerate([(41, b"first"), (41, b"x" * 300000), (42, b"other"), (41, None)]):
        run = next(_runs)
        dbt.reported(run, job_id=job)
        if content is not None:
            dbt.uploaded(run, "manifest.json", content)
            if number != 1:
                dbt.ingested(run)
        if number == 1:
            assert latest("manifest.json").content == b"first"  # the other may still change
            dbt.ingested(run)
    assert latest("manifest.json").content == b"x" * 300000 and latest("manifest.json", 42).content == b"other"
    is_error(latest("catalog.json"), 404, user_message=NOT_FOUND)
    is_error(latest("manifest.json", 43), 404)
    is_error(latest("manifest.json", "x"), 404)


def test_what_is_not_there(dbt, run):
    is_error(dbt.upload(999999999, "a", b"x"), 404, user_message=NOT_FOUND)
    is_error(dbt.upload("x", "a", b"x"), 404)
    is_error(read(dbt, run, "none.json"), 404, user_message=NOT_FOUND)
    is_error(read(dbt, 999999999, "none.json"), 404)
    is_error(dbt.request("GET", f"/api/v2/accounts/{dbt.account}/runs/999999999/artifacts/"), 404)
    is_error(dbt.request("GET", dbt.run_path(run, "/nodes")), 404)


def pieces(size, piece=65536):
    """Bytes that are not all the same, and nobody has at once."""
    for at in range(0, size, piece):
        yield (f"{at:016x}".encode() * (piece // 16))[: min(piece, size - at)]


def digest(size):
    whole = hashlib.sha256()
    for part in pieces(size):
        whole.update(part)
    return whole.hexdigest()


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_large_artifact_takes_little_memory(form):
    size = 40 * MIB
    with Server() as server:
        dbt = make(server)
        dbt.reported(1)
        dbt.uploaded(1, "warm.bin", os.urandom(2 * MIB))
        assert len(read(dbt, 1, "warm.bin").content) == 2 * MIB
        before = server.rss_bytes()
        highest = [before]
        done = threading.Event()

        def watch():
            while not done.wait(0.02):
                highest[0] = max(highest[0], server.rss_bytes())

        thread = threading.Thread(target=watch)
        thread.start()
        headers = {"Content-Length": str(size)} if form == "length" else {}
        response = dbt.upload(1, "large.bin", pieces(size), headers=headers)
        assert response.status_code == 201 and response.json()["data"]["bytes"] == size, response.text
        whole = hashlib.sha256()
        url = f"{dbt.base}/api/v2/accounts/{dbt.account}/runs/1/artifacts/large.bin"
        with dbt._http.stream("GET", url, headers={"Authorization": f"Token {dbt.token}"}) as stream:
            assert stream.headers["content-length"] == str(size)
            for part in stream.iter_bytes():
                whole.update(part)
        done.set()
        thread.join()
        assert whole.hexdigest() == digest(size)
        # A sanitizer keeps what was freed for a while.
        assert SANITIZED or highest[0] - before < 12 * MIB, f"{(highest[0] - before) / MIB:.1f} MiB more"


def test_too_large_an_artifact():
    with Server({"dbt.max_artifact": "1MiB"}) as server:
        dbt = make(server)
        dbt.reported(1)
        dbt.uploaded(1, "fits.bin", b"x" * MIB)
        is_error(dbt.upload(1, "long.bin", b"x" * (MIB + 1)), 413)  # by its length
        is_error(dbt.upload(1, "long.bin", pieces(2 * MIB)), 413)  # by its bytes
        is_error(dbt.upload(1, "fits.bin", pieces(2 * MIB)), 413)
        assert listed(dbt, 1) == ["fits.bin"] and read(dbt, 1, "fits.bin").content == b"x" * MIB


def begin_upload(dbt, run, path, length, sent):
    """A connection on which `sent` bytes of a body of `length` have gone out."""
    sock = socket.create_connection(dbt.server.url.removeprefix("http://").split(":"), 10)
    head = (f"PUT /dbt{dbt.run_path(run, '/artifacts/' + path)} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Token {dbt.token}\r\nContent-Length: {length}\r\n\r\n")
    sock.sendall(head.encode() + b"n" * sent)
    return sock


def rows(server, sql):
    with sqlite3.connect(f"file:{server.data}/posthorn.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchone()[0]


def test_an_upload_that_breaks_off_leaves_nothing():
    with Server({"dbt.run_days": "0.0005"}) as server:
        dbt = make(server)
        dbt.reported(1)
        dbt.uploaded(1, "a.bin", b"old" * 100000)
        sock = begin_upload(dbt, 1, "a.bin", MIB, 600000)
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact_chunk") == 4, 10)
        assert read(dbt, 1, "a.bin").content == b"old" * 100000  # readers see the old one
        other = begin_upload(dbt, 1, "b.bin", MIB, 300000)
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact_chunk") == 5, 10)
        sock.close()
        other.close()
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact WHERE state = 0") == 0, 10)
        assert read(dbt, 1, "a.bin").content == b"old" * 100000 and listed(dbt, 1) == ["a.bin"]
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact_chunk") == 2, 20)  # swept


def test_an_upload_that_is_under_way_when_the_server_ends():
    with Server() as server:
        dbt = make(server)
        dbt.reported(1)
        sock = begin_upload(dbt, 1, "a.bin", MIB, 600000)
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact_chunk") == 2, 10)
        server.kill()
        sock.close()
        server.start()
        is_error(read(dbt, 1, "a.bin"), 404)
        dbt.uploaded(1, "a.bin", b"new")
        sock = begin_upload(dbt, 1, "a.bin", MIB, 600000)
        wait_for(lambda: rows(server, "SELECT count(*) FROM dbt_artifact_chunk") == 5, 10)
        server.stop()
        sock.close()
        server.start()
        assert read(dbt, 1, "a.bin").content == b"new"


def test_a_slow_upload_is_cut_off():
    with Server({"http.body_timeout": "2"}) as server:
        dbt = make(server)
        dbt.reported(1)
        sock = begin_upload(dbt, 1, "a.bin", MIB, 1000)
        sock.settimeout(net(10))
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""
        sock.close()
        assert listed(dbt, 1) == []


def test_uploads_side_by_side(dbt, run):
    contents = [os.urandom(700000) for _ in range(6)]
    codes = []

    def upload(number):
        client = Dbt(dbt.server, dbt.account, dbt.token)
        codes.append(client.upload(run, f"{number}.bin", contents[number]).status_code)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [201] * 6
    assert all(read(dbt, run, f"{number}.bin").content == contents[number] for number in range(6))


# ---- nodes ----


def test_nodes(dbt, run):
    results = [{"unique_id": "model.a.b", "status": "success", "message": "OK \u00fc", "execution_time": 0.25,
                "failures": None, "compiled_code": "select 1"},
               {"unique_id": "test.a.c", "status": "fail", "message": "m" * 9000, "execution_time": 2, "failures": 3}]
    dbt.uploaded(run, "run_results.json", json.dumps({"metadata": {}, "results": results}).encode())
    answer = dbt.ok("GET", dbt.run_path(run, "/nodes"))
    assert answer["data"] == [
        {"unique_id": "model.a.b", "status": "success", "message": "OK \u00fc", "execution_time": 0.25,
         "failures": None},
        {"unique_id": "test.a.c", "status": "fail", "message": "m" * 2000, "execution_time": 2, "failures": 3}]
    assert answer["extra"]["pagination"] == {"total_count": 2, "count": 2}
    for content in (b"{", b"{}", b"x"):
        dbt.uploaded(run, "run_results.json", content, status=200)
        is_error(dbt.request("GET", dbt.run_path(run, "/nodes")), 409)


def test_results_that_are_too_large_to_read(dbt, run):
    dbt.uploaded(run, "run_results.json", pieces(33 * MIB))
    is_error(dbt.request("GET", dbt.run_path(run, "/nodes")), 413)
    dbt.reported(run, status=20, finished_at=FINISHED)
    assert dbt.ingested(run)["artifacts_saved"] is True


# ---- the Admin API ----


def test_a_run_as_receivers_read_it(dbt):
    run = next(_runs)
    steps = [{"name": "dbt deps", "status": 10, "started_at": RUN["started_at"], "finished_at": RUN["started_at"]},
             {"name": "dbt build", "status": 20, "started_at": RUN["started_at"], "finished_at": FINISHED,
              "logs": "line \u00fc\n\"2\""}]
    dbt.reported(run, status=20, finished_at=FINISHED, git_branch="main", git_sha="ab12", job_type="ci",
                 href="https://ci.example/7", status_message="dbt command failed", run_steps=steps)
    path = f"/api/v2/accounts/{dbt.account}/runs/{run}"
    for params in ({}, {"include_related": ""}):
        answer = dbt.ok("GET", path, params=params)
        assert answer["status"] == {"code": 200, "is_success": True}
        assert answer["data"]["run_steps"] == [] and answer["data"]["job"] is None
    for asked in ('["run_steps","job"]', "run_steps,job", "trigger,job,run_steps,debug_logs"):
        shown = dbt.ok("GET", path + "/", params={"include_related": asked})["data"]
        assert [step["name"] for step in shown["run_steps"]] == ["dbt deps", "dbt build"]
        assert shown["job"]["id"] == 41 and shown["job"]["name"] == "Daily"
    expected = {
        "id": run, "account_id": dbt.account, "environment_id": 72, "project_id": 6, "job_definition_id": 41,
        "job_id": 41, "status": 20, "status_humanized": "Error", "dbt_version": "1.9.2", "git_branch": "main",
        "git_sha": "ab12", "status_message": "dbt command failed", "href": "https://ci.example/7",
        "in_progress": False, "is_complete": True, "is_success": False, "is_error": True, "is_cancelled": False,
        "is_running": False, "artifacts_saved": False, "run_duration": "00:01:01",
        "run_duration_humanized": "1 minute, 1 second", "started_at": "2024-05-06 07:08:09.250000+00:00",
        "finished_at": "2024-05-06 07:09:10.750000+00:00"}
    assert {key: shown[key] for key in expected} == expected
    assert TIME.match(shown["created_at"]) and TIME.match(shown["updated_at"])
    assert shown["duration"] == "00:01:01" and shown["finished_at_humanized"].endswith(" ago")
    trigger = shown["trigger"]
    assert (trigger["cause"], trigger["git_branch"], trigger["git_sha"]) == ("cli", "main", "ab12")
    assert trigger["job_definition_id"] == 41 and trigger["github_pull_request_id"] is None
    second = shown["run_steps"][1]
    assert (second["index"], second["status"], second["status_humanized"]) == (2, 20, "Error")
    assert second["logs"] == "line \u00fc\n\"2\"" and second["duration_humanized"] == "1 minute, 1 second"
    dbt.ingested(run)
    assert dbt.ok("GET", path)["data"]["artifacts_saved"] is True


def ids(dbt, **params):
    answer = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/", params=params)
    assert answer["extra"]["pagination"]["count"] == len(answer["data"])
    return [row["id"] for row in answer["data"]]


def test_lists_of_runs(dbt):
    runs = [5, 3, 9, 1]  # as they came; their numbers say nothing
    for number, (run, status) in enumerate(zip(runs, [10, 20, 30, 3])):
        dbt.reported(run, status=status, job_id=41 + number % 2, environment_id=72 + number, project_id=6 + number,
                     finished_at=f"2024-05-0{9 - number}T00:00:00Z" if status >= 10 else None)
    assert ids(dbt) == runs and ids(dbt, order_by="id") == runs and ids(dbt, order_by="-id") == runs[::-1]
    assert ids(dbt, order_by="-created_at", limit=1) == [1]
    assert ids(dbt, order_by="finished_at") == [1, 9, 3, 5] and ids(dbt, order_by="-finished_at") == [5, 3, 9, 1]
    assert ids(dbt, job_definition_id=41) == [5, 9] and ids(dbt, job_definition_id=99) == []
    assert ids(dbt, status=20) == [3] and ids(dbt, status__in="[10, 3]") == [5, 1]
    assert ids(dbt, status="error") == [3] and ids(dbt, status="running") == [1]
    assert ids(dbt, environment_id=74) == [9] and ids(dbt, project_id__in="[6,9]") == [5, 1]
    assert ids(dbt, limit=2, offset=1) == [3, 9] and ids(dbt, limit=2, offset=9) == []
    inside = json.dumps(["2024-05-08T00:00:00Z", "2024-05-08 12:00:00"])
    assert ids(dbt, finished_at__range=inside) == [3]
    answer = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs/", params={"limit": 3, "job_definition_id": 41})
    assert answer["extra"] == {"pagination": {"total_count": 2, "count": 2}, "filters": {"offset": 0, "limit": 3}}
    answer = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/runs")
    assert answer["extra"]["filters"]["limit"] == 100
    for name, value in {"order_by": "name", "status": "odd", "job_definition_id": "x", "limit": "0",
                        "finished_at__range": "x", "created_at__range": "[]"}.items():
        is_error(dbt.request("GET", f"/api/v2/accounts/{dbt.account}/runs/", params={name: value}), 400)


def test_what_runs_name(dbt):
    dbt.reported(next(_runs))
    dbt.reported(next(_runs), job_id=42, job_name="Other", environment_id=73, environment_name="ci", project_id=7,
                 project_name="Second", job_type="ci")
    dbt.reported(next(_runs), job_name="Renamed")
    for version, names in {"v2": ["projects", "environments", "jobs"], "v3": ["projects", "environments"]}.items():
        for name in names:
            answer = dbt.ok("GET", f"/api/{version}/accounts/{dbt.account}/{name}/")
            assert answer["extra"]["pagination"] == {"total_count": 2, "count": 2}
            for item in answer["data"]:
                path = f"/api/{version}/accounts/{dbt.account}/{name}/{item['id']}/"
                assert dbt.ok("GET", path)["data"] == item
                assert item["account_id"] == dbt.account and item["state"] == 1 and TIME.match(item["created_at"])
    jobs = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/jobs/")["data"]
    assert [(job["id"], job["name"], job["project_id"], job["environment_id"]) for job in jobs] == [
        (41, "Renamed", 6, 72), (42, "Other", 7, 73)]
    assert [job["job_type"] for job in jobs] == ["other", "ci"]
    jobs = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/jobs/", params={"project_id__in": "[7]"})["data"]
    assert [job["id"] for job in jobs] == [42]
    for text, found in {"NAME": [41], "": [41, 42], "th": [42], "%": [], "_": [], "!": []}.items():
        jobs = dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/jobs/", params={"name__icontains": text})["data"]
        assert [job["id"] for job in jobs] == found, text
    inside = dbt.ok("GET", f"/api/v3/accounts/{dbt.account}/projects/7/environments/")["data"]
    assert [environment["name"] for environment in inside] == ["ci"]
    is_error(dbt.request("GET", f"/api/v2/accounts/{dbt.account}/jobs/43/"), 404, user_message=NOT_FOUND)
    assert dbt.ok("GET", f"/api/v2/accounts/{dbt.account}/")["data"]["id"] == dbt.account
    # A token with no part in either sees that there is nothing, as clients want it.
    viewer = Dbt(dbt.server, dbt.account, make_token(dbt.server, dbt.account, "readonly"))
    assert viewer.ok("GET", f"/api/v2/accounts/{dbt.account}/jobs/")["data"] == []
    is_error(viewer.request("GET", f"/api/v2/accounts/{dbt.account}/jobs/41/"), 404)
