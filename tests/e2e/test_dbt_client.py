# SPDX-License-Identifier: Apache-2.0
"""The unmodified dbtc client over TLS, at the root of a listener of the surface's own and below its mount."""

import itertools
import json
import os
import socket
import ssl

import httpx
import pytest
from dbtc import dbtCloudClient
from harness import tls
from harness.dbt import FINISHED, Dbt, is_error, make_token, signature
from harness.server import Server
from harness.wrapper import Wrapper
from harness.wait import net

ACCOUNT = 77
_jobs = itertools.count(500)


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """(server, host of the listener of its own, host of the mount, CA file)"""
    authority = tls.Authority(tmp_path_factory.mktemp("tls"))
    pem = authority.file("127.0.0.1", "localhost")
    with socket.socket() as taken:  # a port that is free, and stays so until it is listened at
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"surface_listen.dbt": own, "surface_tls.dbt": f"{pem},{pem}", "tls_cert_file": pem,
                    "tls_key_file": pem}
        with Server(settings) as server:
            yield server, own, server.url.removeprefix("https://") + "/dbt", str(authority.ca_file)


@pytest.fixture(params=["own listener", "mount"])
def cloud(secure, request, monkeypatch):
    return connect(secure, request, monkeypatch, "webhooks_only")


@pytest.fixture(params=["own listener", "mount"])
def runner(secure, request, monkeypatch):
    return connect(secure, request, monkeypatch, "job_runner")


def connect(secure, request, monkeypatch, permission):
    server, own, mount, ca_file = secure
    for name in [name for name in os.environ if name.startswith("DBT_CLOUD_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    token = make_token(server, ACCOUNT, permission)
    return dbtCloudClient(service_token=token, host=own if request.param == "own listener" else mount).cloud


@pytest.mark.parametrize("listener", ["own", "main"])
def test_the_wrapper_reports_to_either_listener(secure, tmp_path, listener):
    server, own, mount, ca_file = secure
    url = "https://" + (own if listener == "own" else mount.removesuffix("/dbt"))
    env = {"POSTHORN_TOKEN": make_token(server, ACCOUNT, "job_runner"), "POSTHORN_ACCOUNT": str(ACCOUNT)}
    wrapper = Wrapper(tmp_path, url, env)
    untrusted = wrapper.run(env={"SSL_CERT_FILE": None})
    assert "not reported yet: no answer: SSL" in untrusted.err and len(wrapper.spooled()) == 1
    trusted = wrapper.run(env={"SSL_CERT_FILE": ca_file})
    assert trusted.err == "" and not wrapper.spooled() and not wrapper.spooled("rejected")


def test_all_six_calls(cloud, receiver, path):
    made = cloud.create_webhook(ACCOUNT, {
        "name": "from dbtc", "client_url": receiver.url(path), "active": True,
        "event_types": ["job.run.started", "job.run.completed"], "job_ids": 5})
    assert made["status"] == {"code": 201}, made
    webhook = made["data"]
    assert webhook["job_ids"] == ["5"] and webhook["hmac_secret"]
    listed = cloud.list_webhooks(ACCOUNT)
    assert webhook["id"] in [each["id"] for each in listed["data"]]
    assert listed["extra"]["pagination"]["count"] == len(listed["data"])
    assert cloud.list_webhooks(ACCOUNT, limit=1, offset=0)["extra"]["filters"] == {"limit": 1, "offset": 0}
    got = cloud.get_webhook(ACCOUNT, webhook["id"])
    assert got["status"] == {"code": 200} and got["data"]["name"] == "from dbtc"
    tested = cloud.test_webhook(ACCOUNT, webhook["id"])["data"]
    assert tested["verification_error"] is None and tested["verification_status_code"] == "204"
    (request,) = receiver.requests(path)
    assert request.header("authorization") == signature(webhook["hmac_secret"], request.body)
    assert json.loads(request.body)["webhooksID"] == webhook["id"]
    updated = cloud.update_webhook(ACCOUNT, webhook["id"], {**got["data"], "name": "renamed", "active": False})
    assert updated["data"]["name"] == "renamed" and updated["data"]["active"] is False
    gone = cloud.delete_webhook(ACCOUNT, webhook["id"])
    assert gone == {"data": {"id": webhook["id"]}, "status": {"code": 200, "is_success": True}}
    missing = cloud.get_webhook(ACCOUNT, webhook["id"])
    assert missing["status"]["code"] == 404 and missing["data"] is None


def test_runs_and_what_they_name(runner, secure):
    reporter = Dbt(secure[0], ACCOUNT, runner.service_token, base=f"https://{runner._host}")
    reporter._http = httpx.Client(timeout=net(30), trust_env=False, verify=ssl.create_default_context(cafile=secure[3]))
    job = next(_jobs)
    for run, status in ((job * 10 + 2, 20), (job * 10 + 1, 10)):
        reporter.reported(run, 201, job_id=job, status=status, finished_at=FINISHED,
                          run_steps=[{"name": "dbt build", "status": status, "logs": "done"}])
    last = job * 10 + 1
    reporter.uploaded(last, "manifest.json", json.dumps({"nodes": "x" * 900_000}).encode())
    reporter.uploaded(last, "compiled/a/b.sql", b"select 1")
    assert reporter.ingested(last)["artifacts_saved"] is True
    listed = runner.list_runs(ACCOUNT, job_definition_id=job, order_by="-id", include_related=["job", "run_steps"])
    assert [run["id"] for run in listed["data"]] == [last, job * 10 + 2]
    assert listed["data"][0]["run_steps"][0]["logs"] == "done"
    assert [run["id"] for run in runner.list_runs(ACCOUNT, job_definition_id=job, status="error")["data"]] == [
        job * 10 + 2]
    assert runner.get_most_recent_run(ACCOUNT, job_definition_id=job)["data"]["id"] == last
    assert runner.get_run(ACCOUNT, last, include_related=["trigger"])["data"]["is_success"] is True
    assert runner.list_run_artifacts(ACCOUNT, last)["data"] == ["compiled/a/b.sql", "manifest.json"]
    assert runner.get_run_artifact(ACCOUNT, last, "manifest.json") == {"nodes": "x" * 900_000}
    assert runner.get_run_artifact(ACCOUNT, last, "compiled/a/b.sql") == "select 1"
    assert runner.get_most_recent_run_artifact(ACCOUNT, "compiled/a/b.sql", job_definition_id=job) == "select 1"
    assert runner.get_job(ACCOUNT, job)["data"]["name"] == "Daily"
    assert job in [each["id"] for each in runner.list_jobs(ACCOUNT, project_id=6)["data"]]
    assert runner.get_project_by_name("Acme", ACCOUNT)["data"]["id"] == 6
    assert [each["name"] for each in runner.list_environments(ACCOUNT, 6)["data"]] == ["production"]
    assert runner.get_environment(ACCOUNT, 6, 72)["data"]["id"] == 72
    assert runner.list_environments_by_account(ACCOUNT)["data"]
    assert runner.get_run(ACCOUNT, 999999)["status"]["code"] == 404


def test_accounts_first(cloud):
    assert [account["id"] for account in cloud.list_accounts()["data"]] == [ACCOUNT]


def test_a_certificate_of_nobody_is_not_taken(secure, monkeypatch):
    server, own, _, _ = secure
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    import requests

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://{own}/api/v3/accounts", timeout=10)


# ---- what is no call at all, on plain listeners ----


@pytest.mark.parametrize("below", ["", "/", "/api", "/api/v3/accounts/1/webhooks/other", "/api/v2/x/", "/nothing"])
def test_unknown_paths_are_404_in_dbts_form(server, below):
    dbt = Dbt(server, 1, make_token(server, 1))
    is_error(dbt.request("GET", "/" + below.lstrip("/")) if below else dbt.request("GET", "/"), 404)
    native = server.api("").get(f"/api/v1{below or '/x'}")
    assert native.status_code == 404 and set(native.json()) == {"code", "detail"}


def test_the_mount_is_no_prefix_of_other_words(server):
    response = server.api("").request("GET", "/api/../dbtx/api")
    assert response.status_code == 404 and set(response.json()) == {"code", "detail"}
