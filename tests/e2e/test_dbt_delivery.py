# SPDX-License-Identifier: Apache-2.0
"""What dbt's webhooks deliver: bodies, signatures, retries, the state of a webhook, its test, and the log."""

import concurrent.futures
import itertools
import json
import threading
import time

import pytest
from harness import signatures
from harness.api import unique
from harness.dbt import (
    MICROS,
    NANOS,
    NOT_FOUND,
    WEV,
    WRC,
    Dbt,
    is_error,
    ksuid_seconds,
    make_token,
    signature,
)
from harness.receiver import Reply
from harness.server import Server
from harness.wait import net, wait_for

_accounts = itertools.count(20000)
TOP = ["accountId", "webhooksID", "webhookId", "eventId", "timestamp", "eventType", "webhookName", "data"]
DATA = {"jobId": "41", "jobName": "Daily", "runId": "9007199254740993", "environmentId": "72",
        "environmentName": "production", "dbtVersion": "1.9.2", "projectName": "Acme", "projectId": "6",
        "runStatus": "Success", "runStatusCode": 10, "runStatusMessage": "None", "runReason": "cli",
        "runStartedAt": "2024-05-06T07:08:09Z", "runFinishedAt": "2024-05-06T07:09:09Z"}


def make(server):
    account = next(_accounts)
    return Dbt(server, account, make_token(server, account))


@pytest.fixture
def dbt(server):
    return make(server)


def emit(api, dbt, event_type="job.run.completed", data=None, job=41, **more):
    """A run event as the surface emits it, sent through the native API."""
    payload = {"accountId": dbt.account, "eventId": "wev_x", "timestamp": "x", "eventType": event_type,
               "data": {**DATA, **(data or {})}, **more}
    text = json.dumps({"eventType": event_type, "payload": payload, "channels": [f"job.{job}"]},
                      separators=(",", ":"), ensure_ascii=False)
    return api.ok("POST", f"/app/dbt.{dbt.account}/msg", None, 202, content=text.encode())


# ---- the body and its signature ----


def test_the_body(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path), name="örders \"x\"")
    before = time.time()
    emit(api, dbt)
    (request,) = receiver.wait(path)
    assert request.method == "POST" and request.header("content-type") == "application/json"
    body = json.loads(request.body)
    assert list(body) == TOP and list(body["data"]) == list(DATA) and body["data"] == DATA
    assert body["accountId"] == dbt.account and body["webhookName"] == "örders \"x\""
    assert body["webhooksID"] == body["webhookId"] == webhook["id"]
    assert WEV.match(body["eventId"]) and NANOS.match(body["timestamp"])
    assert body["eventType"] == "job.run.completed"
    # As in every KSUID: the second in the id is that of the event.
    second = int(time.mktime(time.strptime(body["timestamp"][:19], "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    assert ksuid_seconds(body["eventId"]) == second and before - 2 <= second <= time.time() + 1
    # Compact, and the very bytes that were signed.
    assert request.body == json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    assert request.header("authorization") == signature(webhook["hmac_secret"], request.body)
    assert len(request.header("authorization")) == 64
    for name in ("webhook-id", "webhook-signature", "svix-id", "svix-signature"):
        assert request.header(name) is None


def test_each_webhook_has_its_own_event_id_and_signature(dbt, api, receiver, path):
    webhooks = [dbt.create(receiver.url(f"{path}/{number}")) for number in range(3)]
    emit(api, dbt)
    requests = [receiver.wait(f"{path}/{number}")[0] for number in range(3)]
    assert len({json.loads(request.body)["eventId"] for request in requests}) == 3
    assert len({json.loads(request.body)["timestamp"] for request in requests}) == 1
    for webhook, request in zip(webhooks, requests):
        assert request.header("authorization") == signature(webhook["hmac_secret"], request.body)


def test_only_wanted_types_and_jobs(dbt, api, receiver, path):
    dbt.create(receiver.url(path + "/all"), event_types=["job.run.started", "job.run.completed", "job.run.errored"])
    dbt.create(receiver.url(path + "/job"), job_ids=[7, 8])
    dbt.create(receiver.url(path + "/type"), event_types=["job.run.errored"])
    dbt.create(receiver.url(path + "/off"), active=False)
    for kind, job in [("started", 7), ("completed", 7), ("completed", 9), ("errored", 8), ("completed", 8)]:
        emit(api, dbt, f"job.run.{kind}", {"jobId": str(job)}, job)
    assert len(receiver.wait(path + "/all", 5)) == 5
    jobs = {json.loads(request.body)["data"]["jobId"] for request in receiver.wait(path + "/job", 2)}
    assert jobs == {"7", "8"} and len(receiver.requests(path + "/job")) == 2
    assert len(receiver.wait(path + "/type")) == 1 and not receiver.requests(path + "/off")


def test_what_happened_while_inactive_is_not_sent_later(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path), active=False)
    emit(api, dbt, data={"runId": "1"})
    dbt.put(webhook, active=True)
    emit(api, dbt, data={"runId": "2"})
    receiver.wait(path)
    assert [json.loads(request.body)["data"]["runId"] for request in receiver.requests(path)] == ["2"]


def test_native_endpoints_get_the_same_event(dbt, api, receiver, path):
    app = {"id": f"dbt.{dbt.account}"}
    endpoint = api.new_endpoint(app, receiver.url(path))
    dbt.create(receiver.url(path + "/hook"))
    message = emit(api, dbt)
    (request,) = receiver.wait_message(message["id"], path)
    assert list(json.loads(request.body)) == ["accountId", "eventId", "timestamp", "eventType", "data"]
    assert signatures.verifies(api.secret(app, endpoint), request)
    receiver.wait(path + "/hook")


def test_a_message_that_is_no_run_event_is_not_sent(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    api.send({"id": f"dbt.{dbt.account}"}, {"n": 1}, "job.run.completed")
    dbt.wait_webhook(webhook, lambda shown: "dispatched_at" in shown)
    assert dbt.get(webhook)["http_status_code"] == "0" and not receiver.requests(path)


# ---- attempts ----


def test_five_attempts_with_the_same_bytes(dbt, api, receiver, path):
    with Server({"retry_schedule": ",".join(["0.02"] * 9)}) as server:
        dbt = make(server)
        receiver.script(path, Reply(status=500))
        webhook = dbt.create(receiver.url(path))
        emit(server.api(), dbt)
        requests = receiver.wait(path, 5)
        log = dbt.ok("GET", f"subscription/{webhook['id']}/events")
        event = log["data"][0]
        wait_for(lambda: len(dbt.ok("GET", f"event/{event['id']}/receipts")["data"]) == 5, 10)
        app = f"dbt.{dbt.account}"
        wait_for(lambda: server.api().ok(
            "GET", f"/app/{app}/attempt/endpoint/{webhook['id']}")["data"][0]["status"] == 2, 10)
        assert len(receiver.requests(path)) == 5
        assert len({(request.body, request.header("authorization")) for request in requests}) == 1
        assert dbt.get(webhook)["active"] is True


def test_the_usual_schedule(dbt, api):
    """10 s, 60 s, 5 min, 30 min, unless the server has another one; never more than five attempts in all."""
    with Server({"retry_schedule": None}) as server:
        dbt = make(server)
        webhook = dbt.create("http://127.0.0.1:9/x")
        path = f"/app/dbt.{dbt.account}/endpoint/{webhook['id']}"
        assert server.api().ok("GET", path)["retrySchedule"] == [10, 60, 300, 1800]
        server.stop()
        server.settings.update({"retry_schedule": "1,2,3,4,5,6", "delivery_timeout": "3"})
        server.start()  # what was made under other settings follows
        endpoint = server.api().ok("GET", path)
        assert endpoint["retrySchedule"] == [1, 2, 3, 4] and endpoint["timeoutMs"] is None
        # But not what somebody chose for this one.
        server.api().ok("PATCH", path, {"retrySchedule": [7]})
        server.stop()
        server.settings.update({"retry_schedule": "2"})
        server.start()
        assert server.api().ok("GET", path)["retrySchedule"] == [7]


def test_a_late_answer_is_a_failure(receiver, path):
    with Server({"delivery_timeout": "0.3", "retry_schedule": ""}) as server:
        dbt = make(server)
        receiver.script(path, Reply(delay=60))
        webhook = dbt.create(receiver.url(path))
        emit(server.api(), dbt)
        shown = dbt.wait_webhook(webhook, lambda shown: "dispatched_at" in shown)
        assert shown["http_status_code"] == "0" and shown["active"] is True


def test_redirects_are_not_followed(dbt, api, receiver, path):
    receiver.script(path, Reply(status=302, headers=[("Location", receiver.url(path + "/other"))]))
    webhook = dbt.create(receiver.url(path))
    emit(api, dbt)
    receiver.wait(path)
    dbt.wait_webhook(webhook, lambda shown: shown["http_status_code"] == "302")
    assert not receiver.requests(path + "/other")


@pytest.mark.parametrize("status, shown", [(200, "200"), (204, "204"), (410, "410"), (401, "401"), (503, "503")])
def test_the_state_of_a_webhook(dbt, api, receiver, path, status, shown):
    """A dispatch changes http_status_code, dispatched_at and updated_at; 410 deactivates nothing."""
    receiver.script(path, Reply(status=status))
    webhook = dbt.create(receiver.url(path))
    before = int(time.time() * 1e6)
    emit(api, dbt)
    after = dbt.wait_webhook(webhook, lambda now: now["http_status_code"] != "0")
    assert after["http_status_code"] == shown and after["active"] is True
    assert MICROS.match(after["dispatched_at"])
    assert before - 10_000 <= int(after["dispatched_at"]) <= int(after["updated_at"]) <= time.time() * 1e6 + 10_000
    assert after["created_at"] == webhook["created_at"]


def test_no_http_answer_is_code_0(dbt, api):
    webhook = dbt.create("http://127.0.0.1:9/closed")
    emit(api, dbt)
    shown = dbt.wait_webhook(webhook, lambda shown: "dispatched_at" in shown)
    assert shown["http_status_code"] == "0" and shown["active"] is True


def test_many_failures_deactivate_nothing(dbt, api, receiver, path):
    """Profile A: neither failures in a row nor an open breaker hold a webhook back."""
    receiver.script(path, Reply(status=503))
    webhook = dbt.create(receiver.url(path))
    for _ in range(40):
        emit(api, dbt)
    receiver.wait(path, 120)
    assert dbt.get(webhook)["active"] is True


# ---- profiles ----


def test_profile_b_deactivates_after_five_failures(receiver, path):
    """And tells the account before and after; a native endpoint can bring that to somebody."""
    with Server({"dbt.profile": "B"}) as server:
        dbt = make(server)
        notices = path + "/notices"
        server.api().new_endpoint({"id": f"dbt.{dbt.account}"}, receiver.url(notices),
                                  eventTypes=["dbt.webhook.failing", "dbt.webhook.deactivated"])
        receiver.script(path, Reply(status=500))
        webhook = dbt.create(receiver.url(path))
        for _ in range(3):
            emit(server.api(), dbt)
        off = dbt.wait_webhook(webhook, lambda shown: not shown["active"])
        assert "failed" in off["deactivate_reason"] and off["http_status_code"] == "500"
        told = sorted((json.loads(request.body) for request in receiver.wait(notices, 2)),
                      key=lambda notice: notice["failures"])
        assert [notice["failures"] for notice in told] == [3, 5]
        assert {notice["webhookId"] for notice in told} == {webhook["id"]}
        assert "reason" not in told[0] and told[1]["reason"] == off["deactivate_reason"]
        assert told[0]["accountId"] == dbt.account and told[0]["failingSince"] == told[1]["failingSince"]
        body = json.loads(receiver.requests(path)[0].body)
        assert "webhooksID" not in body and body["webhookId"] == webhook["id"]
        receiver.script(path, Reply())
        on = dbt.put(off, active=True)
        assert on["active"] is True and "deactivate_reason" not in on
        emit(server.api(), dbt)
        dbt.wait_webhook(webhook, lambda shown: shown["http_status_code"] == "200")


def test_a_success_begins_the_count_anew(receiver, path):
    with Server({"dbt.deactivate_failures": "3", "retry_schedule": ""}) as server:
        dbt = make(server)
        webhook = dbt.create(receiver.url(path))
        for number, status in enumerate([500, 500, 200, 500, 500], 1):
            receiver.script(path, Reply(status=status))
            emit(server.api(), dbt)
            wait_for(lambda: [row["http_status_code"] for row in wait_log(dbt, webhook, number)][0] == str(status), 10)
        assert dbt.get(webhook)["active"] is True


def test_profile_c(receiver, path):
    with Server({"dbt.profile": "C"}) as server:
        dbt = make(server)
        webhook = dbt.create(receiver.url(path), job_ids=["41"], active=False)
        assert webhook["account_id"] == dbt.account and webhook["job_ids"] == [41]
        assert dbt.put(webhook, client_url=receiver.url(path + "x"), active=False)["active"] is True
        data = dbt.ok("GET", f"subscription/{webhook['id']}/test")["data"]
        assert list(data) == ["event_id"] and WEV.match(data["event_id"])
        assert "webhooksID" not in json.loads(receiver.wait(path + "x")[0].body)


@pytest.mark.parametrize("key, kept", [("both", TOP[1:3]), ("webhooksID", TOP[1:2]), ("webhookId", TOP[2:3])])
def test_the_name_of_the_id(receiver, path, key, kept):
    with Server({"dbt.payload_id_key": key}) as server:
        dbt = make(server)
        dbt.create(receiver.url(path))
        emit(server.api(), dbt)
        body = json.loads(receiver.wait(path)[0].body)
        assert [name for name in body if name in TOP[1:3]] == kept


# ---- the test call ----


@pytest.mark.parametrize("active", [True, False])
def test_a_test_is_really_sent(dbt, receiver, path, active):
    receiver.script(path, Reply(status=200))
    webhook = dbt.create(receiver.url(path), active=active, job_ids=[1])
    answer = dbt.ok("GET", f"subscription/{webhook['id']}/test")
    assert answer["status"] == {"code": 200}
    data = answer["data"]
    assert (data["verification_error"], data["verification_status_code"]) == (None, "200")
    (request,) = receiver.requests(path)
    body = json.loads(request.body)
    assert list(body) == TOP and list(body["data"]) == list(DATA) and body["eventId"] == data["event_id"]
    assert body["eventType"] == "job.run.completed" and body["webhookName"] == webhook["name"]
    assert request.header("authorization") == signature(webhook["hmac_secret"], request.body)
    # Nothing changes by it, and nothing is logged.
    webhook.pop("hmac_secret")
    assert dbt.get(webhook) == webhook
    assert dbt.ok("GET", f"subscription/{webhook['id']}/events")["data"] == []


@pytest.mark.parametrize("status", [204, 302, 400, 401, 410, 500])
def test_a_test_tells_the_status(dbt, receiver, path, status):
    receiver.script(path, Reply(status=status))
    data = dbt.ok("GET", f"subscription/{dbt.create(receiver.url(path))['id']}/test")["data"]
    assert data["verification_status_code"] == str(status)
    assert (data["verification_error"] is None) == (status == 204)
    assert len(receiver.requests(path)) == 1  # never again


def test_a_test_without_an_answer(dbt, receiver, path):
    for url in ("http://127.0.0.1:9/closed", "http://10.1.2.3/private"):
        data = dbt.ok("GET", f"subscription/{dbt.create(url)['id']}/test")["data"]
        assert data["verification_status_code"] == "0" and data["verification_error"]
    receiver.script(path, Reply(close=True))
    data = dbt.ok("GET", f"subscription/{dbt.create(receiver.url(path))['id']}/test")["data"]
    assert data["verification_status_code"] == "0" and data["verification_error"]


def test_a_test_that_takes_too_long(receiver, path):
    with Server({"delivery_timeout": "0.3"}) as server:
        dbt = make(server)
        receiver.script(path, Reply(hang=True))
        data = dbt.ok("GET", f"subscription/{dbt.create(receiver.url(path))['id']}/test")["data"]
        assert data["verification_status_code"] == "0" and "time" in data["verification_error"].lower()


def test_a_test_of_a_chosen_type(dbt, receiver, path):
    webhook = dbt.create(receiver.url(path))
    ends = {"started": None, "completed": "runFinishedAt", "errored": "runErroredAt", "canceled": "runFinishedAt"}
    for kind, end in ends.items():
        dbt.ok("GET", f"subscription/{webhook['id']}/test", params={"event_type": f"job.run.{kind}"})
        body = json.loads(receiver.requests(path)[-1].body)
        assert body["eventType"] == f"job.run.{kind}" and (end is None or list(body["data"])[-1] == end)
    is_error(dbt.request("GET", f"subscription/{webhook['id']}/test", params={"event_type": "x"}), 400)
    is_error(dbt.request("GET", "subscription/wsu_1/test"), 404, user_message=NOT_FOUND)
    assert dbt.request("POST", f"subscription/{webhook['id']}/test").status_code == 405


def test_many_tests_at_the_same_time(dbt, receiver, path):
    webhook = dbt.create(receiver.url(path))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: dbt.ok("GET", f"subscription/{webhook['id']}/test"), range(40)))
    assert {answer["data"]["verification_status_code"] for answer in answers} == {"204"}
    assert len({answer["data"]["event_id"] for answer in answers}) == 40


def test_a_server_that_stops_during_a_test(receiver, path):
    """The caller gets its answer first."""
    with Server() as server:
        dbt = make(server)
        hold = threading.Event()
        receiver.script(path, Reply(hold=hold))
        webhook = dbt.create(receiver.url(path))
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(dbt.ok("GET", f"subscription/{webhook['id']}/test")["data"]))
        thread.start()
        receiver.wait(path)
        server.terminate()
        hold.set()
        thread.join(net(20))
        assert answers and answers[0]["verification_status_code"] == "200"
        assert server.wait() == 0


# ---- the log ----


EVENT = ["id", "subscription_id", "account_identifier", "job_id", "trigger_event_type", "payload", "http_status_code",
         "account_id"]
RECEIPT = ["id", "event_id", "subscription_id", "dispatched_at", "http_status_code", "error_info", "request_body",
           "request_headers", "response_body"]


def wait_log(dbt, webhook, count=1, status=None):
    last = []

    def complete():
        last[:] = dbt.ok("GET", f"subscription/{webhook['id']}/events", params={"limit": 100})["data"]
        return len(last) >= count and all(status is None or row["http_status_code"] == status for row in last)

    wait_for(complete, 10, lambda: f"{count} events in the log: {last}")
    return list(last)


def test_the_log(dbt, api, receiver, path):
    receiver.script(path, Reply(status=500, body=b"oops \xff"), Reply(status=200, body=b"fine"))
    webhook = dbt.create(receiver.url(path))
    emit(api, dbt)
    (event,) = wait_log(dbt, webhook, status="200")
    requests = receiver.wait(path, 2)
    assert list(event) == EVENT and all(isinstance(value, str) for value in event.values())
    assert event["id"] == json.loads(requests[0].body)["eventId"]
    assert event["payload"].encode() == requests[0].body
    assert event["subscription_id"] == webhook["id"] and event["job_id"] == "41"
    assert event["account_id"] == str(dbt.account) and event["account_identifier"] == webhook["account_identifier"]
    assert event["trigger_event_type"] == "job.run.completed"
    assert dbt.ok("GET", f"event/{event['id']}") == {"data": event, "status": {"code": 200}}

    answer = dbt.ok("GET", f"event/{event['id']}/receipts")
    assert list(answer) == ["data", "status"]
    first, second = receipts = answer["data"]
    for receipt, request in zip(receipts, requests):
        assert list(receipt) == RECEIPT and all(isinstance(value, str) for value in receipt.values())
        assert WRC.match(receipt["id"]) and MICROS.match(receipt["dispatched_at"])
        assert receipt["event_id"] == event["id"] and receipt["subscription_id"] == webhook["id"]
        assert receipt["request_body"].encode() == request.body
        headers = json.loads(receipt["request_headers"])
        assert headers["Authorization"] == request.header("authorization")
        assert dbt.ok("GET", f"receipt/{receipt['id']}")["data"] == receipt
    assert (first["http_status_code"], first["response_body"]) == ("500", "oops \ufffd")
    assert "500" in first["error_info"]
    assert (second["http_status_code"], second["response_body"], second["error_info"]) == ("200", "fine", "")
    assert dbt.ok("GET", f"subscription/{webhook['id']}/event/{event['id']}/receipt") == answer


def test_the_log_of_what_got_no_answer(dbt, api):
    webhook = dbt.create("http://127.0.0.1:9/closed")
    emit(api, dbt)
    (event,) = wait_log(dbt, webhook)
    assert event["http_status_code"] == "0"
    wait_for(lambda: dbt.ok("GET", f"event/{event['id']}/receipts")["data"], 10)
    receipt = dbt.ok("GET", f"event/{event['id']}/receipts")["data"][0]
    assert (receipt["http_status_code"], receipt["response_body"]) == ("0", "") and receipt["error_info"]


def test_the_log_is_paged(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    other = dbt.create(receiver.url(path + "/other"), event_types=["job.run.started"])
    for number in range(13):
        emit(api, dbt, data={"runId": str(number)})
    rows = wait_log(dbt, webhook, 13)
    runs = [json.loads(row["payload"])["data"]["runId"] for row in rows]
    assert runs == [str(number) for number in range(12, -1, -1)]  # the newest first
    page = dbt.ok("GET", f"subscription/{webhook['id']}/events", params={"offset": 10})
    assert page["extra"] == {"pagination": {"total_count": 13, "count": 3}, "filters": {"offset": 10, "limit": 10}}
    assert [row["id"] for row in page["data"]] == [row["id"] for row in rows[10:]]
    assert dbt.ok("GET", f"subscription/{other['id']}/events")["data"] == []


def test_what_is_not_in_the_log(server, dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    second = dbt.create(receiver.url(path + "/2"))
    emit(api, dbt)
    (event,) = wait_log(dbt, webhook, status="204")
    (receipt,) = dbt.ok("GET", f"event/{event['id']}/receipts")["data"]
    stranger = make(server)
    paths = [f"event/{event['id']}", f"event/{event['id']}/receipts", f"receipt/{receipt['id']}",
             f"subscription/{webhook['id']}/events", f"subscription/{webhook['id']}/event/{event['id']}/receipt"]
    for each in paths:
        is_error(stranger.request("GET", each), 404, user_message=NOT_FOUND)
    mistyped = event["id"][:-1] + ("0" if event["id"][-1] != "0" else "1")
    for each in (f"event/{mistyped}", "event/wev_1", "receipt/wrc_1", f"receipt/{event['id']}", "event/x/receipts",
                 f"subscription/{second['id']}/event/{event['id']}/receipt"):
        is_error(dbt.request("GET", each), 404, user_message=NOT_FOUND)
    dbt.ok("DELETE", f"subscription/{webhook['id']}")
    for each in paths:
        is_error(dbt.request("GET", each), 404)


def test_the_log_ends_with_age(receiver, path):
    with Server({"dbt.log_days": "0.0001"}) as server:  # 8.6 seconds
        dbt = make(server)
        webhook = dbt.create(receiver.url(path))
        emit(server.api(), dbt)
        (event,) = wait_log(dbt, webhook)
        wait_for(lambda: not dbt.ok("GET", f"subscription/{webhook['id']}/events")["data"], 10)
        is_error(dbt.request("GET", f"event/{event['id']}"), 404)


# ---- extension: how it is delivered ----


DEFAULTS = {"signatureHeader": "Authorization", "scheme": "dbt",
            "filters": {"environment_ids": [], "project_ids": [], "statuses": [], "job_name_regex": None},
            "collapse": False, "wait_for_artifacts": False, "enrich": False}


def set_delivery(dbt, webhook, **fields):
    return dbt.ok("PUT", dbt.extension(webhook, "delivery"), fields)["data"]


def test_delivery_is_kept(dbt):
    webhook = dbt.create("http://127.0.0.1:9/x")
    assert dbt.ok("GET", dbt.extension(webhook, "delivery"))["data"] == DEFAULTS
    given = {"signatureHeader": "X-Dbt-Signature", "scheme": "both", "collapse": True, "wait_for_artifacts": True,
             "enrich": True, "filters": {"environment_ids": [1, 2], "project_ids": [3], "statuses": ["Errored"],
                                         "job_name_regex": "^Dai\\ly \"x\"$"}}
    assert set_delivery(dbt, webhook, **given) == given
    dbt.put(webhook, name="renamed")  # dbt's clients know nothing of it
    assert dbt.ok("GET", dbt.extension(webhook, "delivery"))["data"] == given
    assert set_delivery(dbt, webhook) == DEFAULTS


@pytest.mark.parametrize("fields, data", [
    ({"scheme": "x"}, ["scheme"]), ({"signatureHeader": ""}, ["signatureHeader"]),
    ({"signatureHeader": "a b"}, ["signatureHeader"]), ({"signatureHeader": "Host"}, ["signatureHeader"]),
    ({"collapse": 1}, ["collapse"]), ({"filters": []}, ["filters"]),
    ({"filters": {"environment_ids": ["x"]}}, ["filters", "environment_ids"]),
    ({"filters": {"project_ids": 5}}, ["filters", "project_ids"]),
    ({"filters": {"statuses": ["fine"]}}, ["filters", "statuses"]),
    ({"filters": {"job_name_regex": 1}}, ["filters", "job_name_regex"]),
    ({"filters": {"job_name_regex": "("}}, ["filters", "job_name_regex"]),
])
def test_bad_delivery(dbt, fields, data):
    webhook = dbt.create("http://127.0.0.1:9/x")
    answer = is_error(dbt.request("PUT", dbt.extension(webhook, "delivery"), fields), 400)["data"]
    for key in data:
        assert list(answer) == [key]
        answer = answer[key]
    is_error(dbt.request("PUT", dbt.extension({"id": "wsu_1"}, "delivery"), {}), 404)


def test_schemes(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    app = {"id": f"dbt.{dbt.account}"}
    key = api.secret(app, webhook)

    def next_request():
        count = len(receiver.requests(path))
        emit(api, dbt)
        return receiver.wait(path, count + 1)[-1]

    set_delivery(dbt, webhook, signatureHeader="X-Sum")
    request = next_request()
    assert request.header("x-sum") == signature(webhook["hmac_secret"], request.body)
    assert request.header("authorization") is None and request.header("webhook-id") is None
    set_delivery(dbt, webhook, scheme="standard")
    request = next_request()
    assert signatures.verifies(key, request) and request.header("authorization") is None
    set_delivery(dbt, webhook, scheme="both")
    request = next_request()
    assert signatures.verifies(key, request)
    assert request.header("authorization") == signature(webhook["hmac_secret"], request.body)
    set_delivery(dbt, webhook)
    request = next_request()
    assert request.header("webhook-id") is None and request.header("authorization")


def wait_runs(dbt, webhook, receiver, path, count):
    """The runs that came, when nothing is on its way any more: what a filter keeps away is no event of the webhook."""
    last = []

    def settled():
        rows = dbt.ok("GET", f"subscription/{webhook['id']}/events", params={"limit": 100})["data"]
        last[:] = [json.loads(row["payload"])["data"]["runId"] for row in rows]
        return len(last) == count and len(receiver.requests(path)) >= count

    wait_for(settled, 15, lambda: f"{count} events: {last}")
    return sorted(run_of(request) for request in receiver.requests(path))


def run_of(request):
    return json.loads(request.body)["data"]["runId"]


FILTERS = [
    ({"environment_ids": [72, 73]}, [{}, {"environmentId": "73"}], [{"environmentId": "7"}]),
    ({"project_ids": ["6"]}, [{}], [{"projectId": "66"}]),
    ({"statuses": ["Errored", "cancelled"]}, [{"runStatusCode": 20}, {"runStatusCode": 30}], [{}]),
    ({"statuses": [10]}, [{}], [{"runStatusCode": 20}]),
    ({"job_name_regex": "^Dai(ly|sy)$"}, [{}, {"jobName": "Daisy"}], [{"jobName": "Daily 2"}]),
    ({"job_name_regex": "\\\\\\(x\\)\"$"}, [{"jobName": "a\\(x)\""}], [{}]),
    ({"environment_ids": [72], "job_name_regex": "D"}, [{}], [{"environmentId": "1"}, {"jobName": "x"}]),
]


@pytest.mark.parametrize("filters, passing, stopped", FILTERS, ids=[str(number) for number in range(len(FILTERS))])
def test_filters(dbt, api, receiver, path, filters, passing, stopped):
    webhook = dbt.create(receiver.url(path))
    set_delivery(dbt, webhook, filters=filters)
    events = [("completed", data) for data in passing + stopped]
    for number, (kind, data) in enumerate(events):
        emit(api, dbt, f"job.run.{kind}", {"runId": str(number), **data})
    wanted = [str(number) for number in range(len(passing))]
    assert wait_runs(dbt, webhook, receiver, path, len(wanted)) == wanted


ERROR = {"runStatus": "Errored", "runStatusCode": 20}


@pytest.mark.parametrize("collapse, wait, came", [
    (False, False, ["completed", "errored"]), (True, False, ["errored"]), (True, True, ["completed"]),
    (False, True, ["completed"]),
])
def test_collapse(dbt, api, receiver, path, collapse, wait, came):
    webhook = dbt.create(receiver.url(path), event_types=["job.run.errored", "job.run.completed"])
    set_delivery(dbt, webhook, collapse=collapse, wait_for_artifacts=wait)
    emit(api, dbt, "job.run.errored", {**ERROR, "runId": "1"})
    emit(api, dbt, "job.run.completed", {**ERROR, "runId": "1"})
    wait_runs(dbt, webhook, receiver, path, len(came))
    kinds = sorted(json.loads(request.body)["eventType"] for request in receiver.requests(path))
    assert kinds == [f"job.run.{kind}" for kind in came]


def test_collapse_of_one_type_alone_hides_nothing(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path), event_types=["job.run.completed"])
    set_delivery(dbt, webhook, collapse=True)
    emit(api, dbt, "job.run.completed", {**ERROR, "runId": "1"})
    assert run_of(receiver.wait(path)[0]) == "1"
    dbt.put(webhook, event_types=["job.run.completed", "job.run.errored"])  # now it does
    emit(api, dbt, "job.run.completed", {**ERROR, "runId": "2"})
    emit(api, dbt, "job.run.completed", {"runId": "3"})
    assert wait_runs(dbt, webhook, receiver, path, 2) == ["1", "3"]


def test_enrich(dbt, api, receiver, path):
    plain = dbt.create(receiver.url(path + "/plain"))
    rich = dbt.create(receiver.url(path + "/rich"))
    assert set_delivery(dbt, rich, enrich=True)["enrich"] is True
    details = {"href": "https://x.example/1", "failed_nodes": [{"unique_id": "test.a"}]}
    emit(api, dbt, run=details)
    body = json.loads(receiver.wait(path + "/rich")[0].body)
    assert list(body) == [*TOP, "run"] and body["run"] == details
    assert list(json.loads(receiver.wait(path + "/plain")[0].body)) == TOP
    assert plain["id"] != rich["id"]


# ---- extension: the secret ----


def test_rotation(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    set_delivery(dbt, webhook, scheme="both")
    old_key = api.secret({"id": f"dbt.{dbt.account}"}, webhook)
    answer = dbt.ok("POST", dbt.extension(webhook, "secret/rotate"), {"grace_hours": 1})
    assert list(answer["data"]) == ["hmac_secret"]
    secret = answer["data"]["hmac_secret"]
    assert secret != webhook["hmac_secret"]
    emit(api, dbt)
    (request,) = receiver.wait(path)
    assert request.header("authorization") == signature(secret, request.body)
    new_key = api.secret({"id": f"dbt.{dbt.account}"}, webhook)
    assert signatures.verifies(old_key, request) and signatures.verifies(new_key, request)
    dbt.ok("POST", dbt.extension(webhook, "secret/rotate"), {"grace_hours": 0})
    emit(api, dbt)
    request = receiver.wait(path, 2)[-1]
    assert not signatures.verifies(new_key, request) and signatures.verifies(old_key, request)


def test_bad_rotation(dbt):
    webhook = dbt.create("http://127.0.0.1:9/x")
    path = dbt.extension(webhook, "secret/rotate")
    for grace in (-1, 169, "1", 1.5):
        answer = is_error(dbt.request("POST", path, {"grace_hours": grace}), 400)
        assert list(answer["data"]) == ["grace_hours"]
    for _ in range(10):
        dbt.ok("POST", path)
    assert "former" in is_error(dbt.request("POST", path), 409)["status"]["developer_message"]
    is_error(dbt.request("POST", dbt.extension({"id": "wsu_1"}, "secret/rotate"), {"grace_hours": -1}), 404)


def test_custom_headers_and_credentials_of_the_native_api_work(dbt, api, receiver, path):
    webhook = dbt.create(receiver.url(path))
    endpoint = f"/app/dbt.{dbt.account}/endpoint/{webhook['id']}"
    api.ok("PUT", endpoint + "/headers", {"headers": {"X-Team": unique("team")}}, 204)
    set_delivery(dbt, webhook, signatureHeader="X-Sum")
    api.ok("PATCH", endpoint, {"auth": {"type": "bearer", "token": "t"}})
    emit(api, dbt)
    (request,) = receiver.wait(path)
    assert request.header("x-team") and request.header("authorization") == "Bearer t" and request.header("x-sum")
