# SPDX-License-Identifier: Apache-2.0
"""Webhook subscriptions of the dbt surface: envelopes, types and quirks as its clients know them."""

import itertools

import pytest
from harness.api import unique
from harness.dbt import ACT, INVALID, MICROS, NOT_FOUND, WSU, Dbt, is_error, make_token

_accounts = itertools.count(100)


@pytest.fixture
def dbt(server):
    """A client of an account of its own, as its administrator."""
    account = next(_accounts)
    return Dbt(server, account, make_token(server, account))


URL = "http://127.0.0.1:9/hook"
FIELDS = ["id", "account_identifier", "name", "description", "job_ids", "event_types", "client_url", "active",
          "created_at", "updated_at", "account_id", "http_status_code"]


# ---- create ----


def test_create_answers_as_the_original(dbt):
    answer = dbt.ok("POST", "subscriptions", {
        "name": "orders", "client_url": URL, "active": True, "job_ids": [41, "42"],
        "event_types": ["job.run.completed", "job.run.started"]}, 201)
    assert list(answer) == ["data", "status"] and answer["status"] == {"code": 201}
    data = answer["data"]
    assert sorted(data) == sorted([*FIELDS, "hmac_secret"])
    assert WSU.match(data["id"]) and ACT.match(data["account_identifier"])
    assert (data["name"], data["description"], data["client_url"]) == ("orders", "", URL)
    assert data["job_ids"] == ["41", "42"]  # texts, in the order that was given
    assert data["event_types"] == ["job.run.completed", "job.run.started"]
    assert data["active"] is True and data["account_id"] == str(dbt.account)
    assert MICROS.match(data["created_at"]) and data["created_at"] == data["updated_at"]
    assert data["http_status_code"] == "0" and "dispatched_at" not in data
    assert isinstance(data["hmac_secret"], str) and 24 <= len(data["hmac_secret"]) <= 75


def test_the_secret_is_shown_once(dbt):
    webhook = dbt.create(URL)
    assert webhook.pop("hmac_secret")
    assert dbt.get(webhook) == webhook
    assert dbt.ok("GET", "subscriptions")["data"] == [webhook]
    assert "hmac_secret" not in dbt.put(webhook)


def test_two_secrets_differ(dbt):
    assert dbt.create(URL)["hmac_secret"] != dbt.create(URL)["hmac_secret"]


@pytest.mark.parametrize("jobs, shown", [
    ([], []), (None, []), ([7], ["7"]), (["7"], ["7"]), (5, ["5"]), ("5", ["5"]), ([3, 1, 2], ["3", "1", "2"]),
    ([9007199254740993], ["9007199254740993"]),
])
def test_job_ids(dbt, jobs, shown):
    webhook = dbt.create(URL, job_ids=jobs)
    assert webhook["job_ids"] == shown and dbt.get(webhook)["job_ids"] == shown


def test_what_may_be_left_out(dbt):
    body = {"name": "n", "client_url": URL, "event_types": ["job.run.errored"]}
    data = dbt.ok("POST", "subscriptions", body, 201)["data"]
    assert data["active"] is True and data["description"] == "" and data["job_ids"] == []


def test_what_clients_send_along_is_ignored(dbt):
    data = dbt.create(URL, id="", http_status_code="7", dispatched_at="1", deactivate_reason="x", account_id=7,
                      account_identifier="act_1", unknown={"a": 1})
    assert WSU.match(data["id"]) and data["http_status_code"] == "0" and data["account_id"] == str(dbt.account)


@pytest.mark.parametrize("url", [
    "https://hooks.example.test", "https://Hooks.Example.test/A%20b", "http://h.example.test:80/x/../y?q=1"])
def test_the_url_comes_back_byte_for_byte(dbt, url):
    webhook = dbt.create(url)
    assert webhook["client_url"] == url and dbt.get(webhook)["client_url"] == url


BAD = [
    ({"name": None}, "name"), ({"name": ""}, "name"), ({"name": 5}, "name"), ({"client_url": ""}, "client_url"),
    ({"client_url": "ftp://x/"}, "client_url"), ({"client_url": "no url"}, "client_url"),
    ({"event_types": []}, "event_types"), ({"event_types": ["job.run.other"]}, "event_types"),
    ({"event_types": "job.run.started"}, "event_types"), ({"event_types": [1]}, "event_types"),
    ({"active": "yes"}, "active"), ({"description": 1}, "description"), ({"job_ids": ["x"]}, "job_ids"),
    ({"job_ids": [1.5]}, "job_ids"), ({"job_ids": {}}, "job_ids"), ({"job_ids": [-1]}, "job_ids"),
    ({"job_ids": [0]}, "job_ids"), ({"job_ids": ["1" * 30]}, "job_ids"), ({"job_ids": list(range(1, 1002))}, "job_ids"),
]


@pytest.mark.parametrize("fields, field", BAD, ids=[f"{field}-{number}" for number, (_, field) in enumerate(BAD)])
def test_invalid_fields(dbt, fields, field):
    body = {"name": "n", "client_url": URL, "event_types": ["job.run.started"], **fields}
    answer = is_error(dbt.request("POST", "subscriptions", body), 400, user_message=INVALID)
    assert list(answer["data"]) == [field] and isinstance(answer["data"][field], str)
    webhook = dbt.create(URL)
    is_error(dbt.request("PUT", f"subscription/{webhook['id']}", body), 400)


@pytest.mark.parametrize("missing", ["name", "client_url", "event_types"])
def test_missing_fields(dbt, missing):
    body = {"name": "n", "client_url": URL, "event_types": ["job.run.started"]}
    del body[missing]
    answer = is_error(dbt.request("POST", "subscriptions", body), 400, {missing: "required key not provided"}, INVALID)
    assert answer["status"]["developer_message"] == ""


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b'{"name":', b"null"])
def test_no_json_object(dbt, content):
    answer = is_error(dbt.request("POST", "subscriptions", content=content), 400, user_message=INVALID)
    assert answer["data"] is None and answer["status"]["developer_message"]


# ---- reads ----


@pytest.mark.parametrize("id", ["wsu_0ujsswThIGTUYm2K8FjOOfXtY1K", "wsu_", "x", "wsu_" + "z" * 27, "ep_1", "1", "%20"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_unknown_and_malformed_ids(dbt, method, id):
    """404 whatever the body: clients take a 400 for "gone" too."""
    is_error(dbt.request(method, f"subscription/{id}", {} if method == "PUT" else None), 404, user_message=NOT_FOUND)


def test_another_accounts_webhook_is_not_found(server, dbt):
    account = next(_accounts)
    webhook = Dbt(server, account, make_token(server, account)).create(URL)
    is_error(dbt.request("GET", f"subscription/{webhook['id']}"), 404)
    is_error(dbt.request("DELETE", f"subscription/{webhook['id']}"), 404)


def test_the_list_is_paged(dbt):
    made = [dbt.create(URL, name=unique("hook"))["id"] for _ in range(12)]
    first = dbt.ok("GET", "subscriptions")
    assert list(first) == ["data", "status", "extra"] and first["status"] == {"code": 200}
    assert first["extra"] == {"pagination": {"total_count": 12, "count": 10}, "filters": {"offset": 0, "limit": 10}}
    assert [webhook["id"] for webhook in first["data"]] == made[:10]  # the oldest first
    seen = []
    while len(seen) < first["extra"]["pagination"]["total_count"]:
        page = dbt.ok("GET", "subscriptions", params={"offset": len(seen), "limit": 5})
        assert page["extra"]["pagination"]["count"] == len(page["data"]) <= 5
        seen += [webhook["id"] for webhook in page["data"]]
    assert seen == made
    beyond = dbt.ok("GET", "subscriptions", params={"offset": 12})
    assert beyond["data"] == [] and beyond["extra"]["pagination"] == {"total_count": 12, "count": 0}
    assert dbt.ok("GET", "subscriptions", params={"limit": 1000})["extra"]["filters"]["limit"] == 100


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"offset": ""}])
def test_bad_paging(dbt, params):
    assert list(is_error(dbt.request("GET", "subscriptions", params=params), 400)["data"]) == list(params)


def test_slash_and_include_related(dbt):
    webhook = dbt.create(URL)
    for path in ("subscriptions", "subscriptions/"):
        assert len(dbt.ok("GET", path, params={"include_related": '["x"]'})["data"]) == 1
    assert dbt.ok("GET", f"subscription/{webhook['id']}/")["data"]["id"] == webhook["id"]
    other = dbt.ok("POST", "subscriptions/", {"name": "n", "client_url": URL, "event_types": ["job.run.started"]}, 201)
    dbt.ok("DELETE", f"subscription/{other['data']['id']}/")


# ---- update and delete ----


def test_update_replaces(dbt):
    webhook = dbt.create(URL, description="old", job_ids=[1, 2])
    secret = webhook.pop("hmac_secret")
    answer = dbt.ok("PUT", f"subscription/{webhook['id']}", {
        "id": webhook["id"], "name": "new", "client_url": "https://other.example.test/x", "active": False,
        "event_types": ["job.run.errored"]})
    assert answer["status"] == {"code": 200}
    data = answer["data"]
    assert (data["name"], data["description"], data["job_ids"], data["active"]) == ("new", "", [], False)
    assert data["event_types"] == ["job.run.errored"] and data["client_url"] == "https://other.example.test/x"
    assert data["created_at"] == webhook["created_at"] and int(data["updated_at"]) > int(webhook["updated_at"])
    assert data["id"] == webhook["id"] and secret not in str(data)
    assert dbt.get(webhook) == data


def test_update_without_active_leaves_it(dbt):
    webhook = dbt.create(URL, active=False)
    body = {"name": "n", "client_url": URL, "event_types": ["job.run.started"]}
    assert dbt.ok("PUT", f"subscription/{webhook['id']}", body)["data"]["active"] is False


def test_a_new_url_does_not_reactivate(dbt):
    webhook = dbt.create(URL, active=False)
    assert dbt.put(webhook, client_url=URL + "2")["active"] is False
    assert dbt.put(webhook, active=True)["active"] is True


def test_delete(dbt):
    webhook = dbt.create(URL)
    answer = dbt.ok("DELETE", f"subscription/{webhook['id']}")
    assert answer == {"data": {"id": webhook["id"]}, "status": {"code": 200, "is_success": True}}
    for method in ("DELETE", "GET"):
        is_error(dbt.request(method, f"subscription/{webhook['id']}"), 404, user_message=NOT_FOUND)
    assert dbt.ok("GET", "subscriptions")["extra"]["pagination"]["total_count"] == 0


# ---- the endpoint behind it ----


def test_a_webhook_is_an_endpoint(dbt, api):
    webhook = dbt.create(URL, job_ids=[41], description="d")
    path = f"/app/dbt.{dbt.account}/endpoint/{webhook['id']}"
    endpoint = api.ok("GET", path)
    assert (endpoint["uid"], endpoint["url"], endpoint["description"]) == (webhook["id"], URL, "d")
    assert endpoint["channels"] == ["job.41"] and endpoint["filterTypes"] == ["job.run.completed"]
    assert (endpoint["timeoutMs"], endpoint["disabled"]) == (10000, False)
    # What the native API changes is what dbt's clients see, and their updates leave the rest alone.
    api.ok("PATCH", path, {"disabled": True, "url": "http://127.0.0.1:9/native", "timeoutMs": 1234})
    changed = dbt.get(webhook)
    assert changed["active"] is False and changed["client_url"] == "http://127.0.0.1:9/native"
    dbt.put(changed, name="renamed")
    assert api.ok("GET", path)["timeoutMs"] == 1234
    api.ok("DELETE", path, status=204)
    is_error(dbt.request("GET", f"subscription/{webhook['id']}"), 404)


def test_event_types_are_in_the_catalogue(dbt, api):
    for name in ("started", "completed", "errored", "canceled"):
        assert api.ok("GET", f"/event-type/job.run.{name}")["name"] == f"job.run.{name}"
    app = {"id": f"dbt.{dbt.account}"}
    assert api.new_endpoint(app, URL, eventTypes=["job.run.errored"])["filterTypes"] == ["job.run.errored"]
    assert dbt.ok("GET", "subscriptions")["data"] == []  # a native endpoint is no webhook


def test_the_application_of_an_account_stays(dbt, api):
    """Deleted through the native API it would take the account's webhooks along."""
    made = dbt.create(URL)
    app = f"/app/dbt.{dbt.account}"
    for method, body in (("DELETE", None), ("PATCH", {"uid": "other"}), ("PUT", {"name": "x"})):
        answer = api.request(method, app, body)
        assert answer.status_code == 409 and "dbt surface" in answer.text, (method, answer.text)
    api.ok("PATCH", app, {"name": "Renamed"})
    assert dbt.get(made)["id"] == made["id"]
