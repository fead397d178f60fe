# SPDX-License-Identifier: Apache-2.0
"""The unmodified dbtc client over TLS, at the root of a listener of the surface's own and below its mount."""

import json
import os
import socket

import pytest
from dbtc import dbtCloudClient
from harness import tls
from harness.dbt import Dbt, is_error, make_token, signature
from harness.server import Server

ACCOUNT = 77


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
    server, own, mount, ca_file = secure
    for name in [name for name in os.environ if name.startswith("DBT_CLOUD_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    token = make_token(server, ACCOUNT, "webhooks_only")
    return dbtCloudClient(service_token=token, host=own if request.param == "own listener" else mount).cloud


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
