# SPDX-License-Identifier: Apache-2.0
"""Tokens of the dbt surface: making and ending them, and who may do what."""

import itertools
import json
import subprocess
import sys

import pytest
from harness.cli import is_failure, is_usage_error, try_run
from harness.dbt import Dbt, is_error, make_token
from harness.server import Server, run
from harness.wait import wait_for

_accounts = itertools.count(5000)
WEBHOOK = {"name": "n", "client_url": "http://127.0.0.1:9/x", "event_types": ["job.run.started"]}

WITH_WEBHOOKS = ["account_admin", "admin", "developer", "webhooks_only"]
ON_TEAM_ONLY = ["owner", "member"]
WITHOUT = ["security_admin", "billing_admin", "database_admin", "git_admin", "team_admin", "job_admin", "job_runner",
           "job_viewer", "analyst", "stakeholder", "readonly", "project_creator", "account_viewer", "metadata_only",
           "semantic_layer_only", "fusion_admin", "cost_management_viewer", "cost_management_admin",
           "manage_marketplace_apps", "notification_manager"]


@pytest.fixture
def account():
    return next(_accounts)


def may_use_webhooks(dbt):
    """Read = write: both work, or both are refused."""
    codes = {dbt.request("GET", "subscriptions").status_code, dbt.request("POST", "subscriptions", WEBHOOK).status_code}
    assert codes in ({200, 201}, {403}), codes
    return codes == {200, 201}


@pytest.mark.parametrize("permission", WITH_WEBHOOKS)
def test_sets_with_webhooks(server, account, permission):
    assert may_use_webhooks(Dbt(server, account, make_token(server, account, permission)))


@pytest.mark.parametrize("permission", WITHOUT)
def test_sets_without(server, account, permission):
    dbt = Dbt(server, account, make_token(server, account, permission))
    assert not may_use_webhooks(dbt)
    refused = is_error(dbt.request("GET", "subscriptions"), 403, user_message="Forbidden: Access denied")
    assert refused["data"] == {"account_id": account, "user_id": None, "is_service_token": True}
    dbt.ok("GET", "/api/v2/accounts/")  # a valid token all the same


@pytest.mark.parametrize("permission", ON_TEAM_ONLY)
def test_sets_of_the_team_plan(server, account, permission):
    token = make_token(server, account, permission)
    assert not may_use_webhooks(Dbt(server, account, token))
    make_token(server, account, plan="team")
    assert may_use_webhooks(Dbt(server, account, token))


def test_one_of_several_sets_is_enough(server, account):
    assert may_use_webhooks(Dbt(server, account, make_token(server, account, "job_viewer", "webhooks_only")))


def test_a_personal_token(server, account):
    token = make_token(server, account, "analyst", kind="personal")
    data = is_error(Dbt(server, account, token).request("GET", "subscriptions"), 403)["data"]
    assert data["is_service_token"] is False and isinstance(data["user_id"], int)
    assert may_use_webhooks(Dbt(server, account, make_token(server, account, "developer", kind="personal")))


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "BEARER"])
def test_both_schemes(server, account, scheme):
    Dbt(server, account, make_token(server, account), scheme=scheme).ok("GET", "subscriptions")


def test_no_valid_token(server, account):
    token = make_token(server, account)
    dbt = Dbt(server, account, "")
    for header in (None, "", "Token", "Token x", token, f"Basic {token}", f"Token {token}x", f"Tok {token}"):
        headers = {} if header is None else {"Authorization": header}
        answer = is_error(dbt.request("GET", "subscriptions", headers=headers), 401, user_message="Invalid token.")
        assert answer["data"] is None and answer["status"]["developer_message"] is None


def test_accounts_that_the_token_does_not_see(server, account):
    dbt = Dbt(server, account, make_token(server, account))
    other = next(_accounts)
    make_token(server, other)
    for number in (other, 999999, 0, -1, "x", f"0{account}", "9" * 30, f"+{account}"):
        is_error(dbt.request("GET", f"/api/v3/accounts/{number}/webhooks/subscriptions"), 404)
    # Without the permission too: nothing is told of an account that is not its own.
    viewer = Dbt(server, account, make_token(server, account, "job_viewer"))
    is_error(viewer.request("GET", f"/api/v3/accounts/{other}/webhooks/subscriptions"), 404)


def test_native_tokens_are_none(server, account):
    make_token(server, account)
    is_error(Dbt(server, account, server.org_token).request("GET", "subscriptions"), 401)
    assert server.api(make_token(server, account)).get("/app").status_code == 401


def test_what_the_server_refuses_by_itself(server, account):
    dbt = Dbt(server, account, make_token(server, account, "admin"))
    is_error(dbt.request("PATCH", "subscriptions"), 405, user_message="The method is not allowed here.")
    is_error(dbt.request("POST", "subscriptions", {**WEBHOOK, "name": "x" * (1 << 22)}), 413)
    is_error(dbt.request("GET", "subscription/%00"), 400)


def test_neighbours(server, account):
    dbt = Dbt(server, account, make_token(server, account, "readonly", account_name="Acme"))
    for path in ("/api/v2/accounts/", "/api/v2/accounts", "/api/v3/accounts", "/api/v3/accounts/"):
        answer = dbt.ok("GET", path)
        assert answer == {"data": [{"id": account, "name": "Acme"}], "status": {"code": 200, "is_success": True}}
    for name in ("projects", "jobs"):
        answer = dbt.ok("GET", f"/api/v2/accounts/{account}/{name}/")
        assert answer["data"] == [] and answer["extra"]["pagination"] == {"count": 0, "total_count": 0}


def test_account_name_and_plan_can_change(server, account):
    dbt = Dbt(server, account, make_token(server, account))
    assert dbt.ok("GET", "/api/v2/accounts/")["data"][0]["name"] == f"Account {account}"
    make_token(server, account, account_name="Ümläut \"x\"")
    assert dbt.ok("GET", "/api/v2/accounts/")["data"][0]["name"] == "Ümläut \"x\""
    make_token(server, account)
    assert dbt.ok("GET", "/api/v2/accounts/")["data"][0]["name"] == "Ümläut \"x\""


# ---- the command ----


def tokens(server, *words):
    done = server.run("token", "list", "--surface", "dbt", "--json", *words)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list_and_revoke(server, account):
    name = f"for {account}"
    token = make_token(server, account, "developer", "job_admin", name=name, expires="30d")
    (row,) = [row for row in tokens(server) if row["name"] == name]
    assert row["id"].startswith("tok_") and row["subject"] == f"account {account}"
    assert row["grants"] == {"account": account, "permissions": ["developer", "job_admin"]}
    assert row["expiresAt"] > row["createdAt"] and "revokedAt" not in row
    assert token not in json.dumps(tokens(server)) and token not in server.log()
    dbt = Dbt(server, account, token)
    dbt.ok("GET", "subscriptions")
    assert server.run("token", "revoke", "--surface", "dbt", name).stdout.strip() == row["id"]
    is_error(dbt.request("GET", "subscriptions"), 401)
    assert "revokedAt" in [each for each in tokens(server) if each["id"] == row["id"]][0]
    for gone in (name, row["id"], "nobody", "tok_" + "0" * 27):
        is_failure(server.run("token", "revoke", "--surface", "dbt", gone, check=False), "token")
    make_token(server, account, name=name)
    make_token(server, account, name=name)
    is_failure(server.run("token", "revoke", "--surface", "dbt", name, check=False), name, "ids")
    for row in [each for each in tokens(server) if each["name"] == name and "revokedAt" not in each]:
        server.run("token", "revoke", "--surface", "dbt", row["id"])


def test_the_list_for_people(server, account):
    make_token(server, account, name="a\tb\nc")
    lines = server.run("token", "list", "--surface", "dbt").stdout.splitlines()
    (line,) = [line for line in lines if f"account {account}\t" in line]
    assert len(line.split("\t")) == 6 and line.split("\t")[1] == "a b c"


def test_many_tokens_are_listed_page_by_page(server, account):
    for number in range(40):
        make_token(server, account, *WITHOUT[:5], name=f"{account}-{number}")
    names = [row["name"] for row in tokens(server) if row["subject"] == f"account {account}"]
    assert names == [f"{account}-{number}" for number in range(40)]


def test_a_token_ends(server, account):
    dbt = Dbt(server, account, make_token(server, account, expires="1s"))
    wait_for(lambda: dbt.request("GET", "subscriptions").status_code == 401, 10)


def test_before_the_first_start_and_between(tmp_path):
    """Without a server the command makes the store, the account and the token itself."""
    data = tmp_path / "data"
    words = ["token", "create", "--surface", "dbt", "--account", "1", "--permission", "developer"]
    first = run(*words, data=data).stdout.strip()
    with Server(data=data) as server:
        second = server.run(*words).stdout.strip()
        for token in (first, second):
            Dbt(server, 1, token).ok("GET", "subscriptions")
        server.stop()
        third = run(*words, data=data).stdout.strip()
        run("token", "revoke", "--surface", "dbt", [r["id"] for r in tokens(server)][0], data=data)
        server.start()
        assert [Dbt(server, 1, token).request("GET", "subscriptions").status_code
                for token in (first, second, third)] == [401, 200, 200]


def test_many_at_the_same_time(server, account):
    code = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    command = [sys.executable, "-c", code, *server.command()[:1], "token", "create", "--surface", "dbt", "--account",
               str(account), "--permission", "developer", "--data", str(server.data)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    made = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(made) == 8
    for token in made:
        Dbt(server, account, token).ok("GET", "subscriptions")


USAGE = [
    (["create"], ["--account"]), (["create", "--account", "1"], ["--permission"]),
    (["create", "--account", "x", "--permission", "developer"], ["--account", '"x"']),
    (["create", "--account", "0", "--permission", "developer"], ["--account"]),
    (["create", "--account", "1", "--permission", "king"], ["king"]),
    (["create", "--account", "1", "--permission", "developer", "--plan", "gold"], ["--plan"]),
    (["create", "--account", "1", "--permission", "developer", "--kind", "x"], ["--kind"]),
    (["create", "--account", "1", "--permission", "developer", "--account-name", ""], ["--account-name"]),
    (["create", "--account", "1", "--permission", "developer", "--expires", "soon"], ["--expires"]),
    (["create", "--account", "1", "--permission", "developer", "--app", "x"], ["--app"]),
    (["create", "surplus", "--account", "1", "--permission", "developer"], ["usage"]),
    (["revoke"], ["usage"]), (["list", "x"], ["usage"]), (["make"], ["usage"]), ([], ["usage"]),
]


@pytest.mark.parametrize("words, said", USAGE, ids=[" ".join(words) or "nothing" for words, _ in USAGE])
def test_wrong_usage(tmp_path, words, said):
    is_usage_error(try_run("token", *words, "--surface", "dbt", data=tmp_path / "data"), *said)
    assert not (tmp_path / "data").exists()


def test_flags_of_a_surface_are_no_flags_of_the_native(tmp_path):
    done = try_run("token", "create", "--account", "1", data=tmp_path / "data")
    is_usage_error(done, "--account", "native")
