# SPDX-License-Identifier: Apache-2.0
"""Background tasks through the official SDK: recover, replays, purge, statistics, and how tasks are listed and
cancelled."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from harness.api import FAIL, SUCCESS, id_pattern, is_error, is_invalid, unique
from harness.receiver import Reply
from harness.server import Server
from harness.wait import net, wait_for
from svix.api import (
    AppUsageStatsIn,
    BackgroundTaskListOptions,
    BackgroundTaskStatus,
    BackgroundTaskType,
    BulkExpungeContentsIn,
    BulkExpungeStatus,
    BulkReplayIn,
    EndpointGetStatsOptions,
    EndpointRecoverOptions,
    MessageStatus,
    Ordering,
    RecoverIn,
    ReplayIn,
    StatusCodeClass,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError, HTTPValidationError

MANUAL = 1


def now():
    return datetime.now(timezone.utc)


def between():
    """A moment that parts what was made before from what is made after it: ids tell moments apart by 1/256 s."""
    tick = timedelta(seconds=1 / 256)
    middle = now() + tick
    while now() < middle + tick:
        pass
    return middle


def ago(**kwargs):
    return now() - timedelta(**kwargs)


@pytest.fixture(scope="module")
def svix(server):
    return Svix(server.org_token, SvixOptions(server_url=server.url, timeout=net(30)))


@pytest.fixture
def endpoint(api, app, receiver, path):
    return api.new_endpoint(app, receiver.url(path))


def end_of(svix, task, timeout=20.0):
    """The task as it stands when it has ended."""
    last = []

    def ended():
        last[:] = [svix.background_task.get(task.id)]
        return last[0].status != BackgroundTaskStatus.RUNNING

    wait_for(ended, timeout, lambda: f"the end of {task.task} {task.id}: {last}")
    return last[0]


def finished(svix, task, timeout=20.0):
    ended = end_of(svix, task, timeout)
    assert ended.status == BackgroundTaskStatus.FINISHED, ended
    assert (ended.id, ended.task) == (task.id, task.task)
    return ended.data


def send_all(api, app, endpoint, count, **fields):
    """So many messages, each to the end of its delivery."""
    messages = [api.send(app, {"n": n}, **fields) for n in range(count)]
    for message in messages:
        api.wait_final(app, message, endpoint)
    return messages


def ids(rows):
    return [row["id"] for row in rows]


def received(receiver, path):
    return [request.message_id for request in receiver.requests(path)]


# ---- recover ----


def test_recover_sends_what_failed_once_more(api, svix, app, endpoint, receiver, path):
    good = send_all(api, app, endpoint, 1)
    receiver.script(path, Reply(500))
    failed = send_all(api, app, endpoint, 3)
    receiver.script(path, Reply(500), Reply(200))
    (late,) = send_all(api, app, endpoint, 1)
    receiver.script(path, Reply(200))
    receiver.clear()
    task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
    assert (task.status, task.task) == (BackgroundTaskStatus.RUNNING, BackgroundTaskType.ENDPOINT_RECOVER)
    data = finished(svix, task)
    assert (data["messagesSent"], data["messagesTotal"], data["messagesSkipped"]) == (3, 3, 0)
    assert (data["appId"], data["endpointId"]) == (app["id"], endpoint["id"])
    assert sorted(received(receiver, path)) == sorted(ids(failed))
    for message in failed:
        assert api.destination(app, message, endpoint)["status"] == SUCCESS
        assert [a["triggerType"] for a in api.attempts(app, message)] == [MANUAL, 0, 0, 0]
    for message in (*good, late):
        assert all(a["triggerType"] == 0 for a in api.attempts(app, message))
    again = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
    assert finished(svix, again)["messagesSent"] == 0
    assert len(received(receiver, path)) == 3


def test_recover_makes_one_attempt_each(api, svix, app, endpoint, receiver, path):
    receiver.script(path, Reply(500))
    (failed,) = send_all(api, app, endpoint, 1)
    task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
    assert finished(svix, task)["messagesSent"] == 1
    attempts = api.wait_attempts(app, failed, 4)
    assert [a["triggerType"] for a in attempts] == [0, 0, 0, MANUAL]
    assert api.destination(app, failed, endpoint)["status"] == FAIL


def test_recover_brings_back_what_a_disabled_endpoint_left_behind(server, receiver, path):
    with Server({"retry_schedule": "3600"}) as slow:
        api = slow.api()
        svix = Svix(slow.org_token, SvixOptions(server_url=slow.url, timeout=net(30)))
        app = api.new_app()
        # So slow that the others wait behind the first ones.
        endpoint = api.new_endpoint(app, receiver.url(path), throttleRate=1)
        messages = [api.send(app, {"n": n}) for n in range(12)]
        first = receiver.wait(path, 1)[0]
        api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": True})
        left = [m for m in messages if m["id"] not in received(receiver, path)]
        assert left
        failed = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
        ended = end_of(svix, failed)
        assert ended.status == BackgroundTaskStatus.FAILED and "disabled" in ended.data["error"]
        api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"disabled": False, "throttleRate": None})
        # Nothing is revived by itself, and everything by a recover.
        task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
        assert finished(svix, task)["messagesSent"] == len(left)
        wait_for(lambda: len(received(receiver, path)) == 12, what="all of them")
        assert sorted(received(receiver, path)) == sorted(ids(messages))
        assert first.message_id == messages[0]["id"]


def test_recover_heeds_its_window(api, svix, app, endpoint, receiver, path):
    receiver.script(path, Reply(500))
    send_all(api, app, endpoint, 1)
    middle = between()
    (second,) = send_all(api, app, endpoint, 1)
    receiver.script(path, Reply(200))
    receiver.clear()
    task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=middle))
    assert finished(svix, task)["messagesSent"] == 1
    assert received(receiver, path) == [second["id"]]
    task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5), until=middle))
    assert finished(svix, task)["messagesSent"] == 1
    assert len(received(receiver, path)) == 2


def test_an_expunged_message_is_not_recovered(api, svix, app, endpoint, receiver, path):
    receiver.script(path, Reply(500))
    first, second = send_all(api, app, endpoint, 2)
    api.ok("DELETE", f"/app/{app['id']}/msg/{first['id']}/content", status=204)
    receiver.script(path, Reply(200))
    receiver.clear()
    task = svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(minutes=5)))
    data = finished(svix, task)
    assert (data["messagesSent"], data["messagesSkipped"]) == (1, 1)
    assert received(receiver, path) == [second["id"]]


# ---- replay-missing ----


def test_replay_missing_sends_what_an_endpoint_never_got(api, svix, app, receiver, path):
    for name in ("a.one", "a.two"):
        api.put(f"/event-type/{name}", {"description": "x"})
    wanted = [api.send(app, {"n": n}, "a.one", channels=["blue"]) for n in range(3)]
    api.send(app, {}, "a.two", channels=["blue"])
    api.send(app, {}, "a.one", channels=["red"])
    api.send(app, {}, "a.one")
    endpoint = api.new_endpoint(app, receiver.url(path), eventTypes=["a.one"], channels=["blue"])
    known = api.send(app, {"n": 9}, "a.one", channels=["blue", "red"])
    receiver.wait_message(known["id"], path)
    receiver.script(path, Reply(500), Reply(200))
    task = svix.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=ago(minutes=5)))
    assert task.task == BackgroundTaskType.ENDPOINT_REPLAY
    assert finished(svix, task)["messagesSent"] == 3
    for message in wanted:
        attempts = api.wait_final(app, message, endpoint)
        assert attempts[-1]["status"] == SUCCESS and all(a["triggerType"] == 0 for a in attempts)
    got = received(receiver, path)
    assert sorted(set(got)) == sorted([*ids(wanted), known["id"]]) and len(got) == 5, "one was tried twice"
    again = svix.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=ago(minutes=5)))
    assert finished(svix, again)["messagesSent"] == 0


def test_replay_missing_heeds_its_window(api, svix, app, receiver, path):
    first = api.send(app)
    middle = between()
    second = api.send(app)
    endpoint = api.new_endpoint(app, receiver.url(path))
    task = svix.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=middle))
    assert finished(svix, task)["messagesSent"] == 1
    assert received(receiver, path) == [second["id"]]
    window = ReplayIn(since=ago(minutes=5), until=middle)
    assert finished(svix, svix.endpoint.replay_missing(app["id"], endpoint["id"], window))["messagesSent"] == 1
    assert received(receiver, path) == [second["id"], first["id"]]


def test_replay_missing_keeps_the_order_of_keys(api, svix, app, receiver, path):
    """Deliveries that are made later know the keys of their messages."""
    first, second, third = [api.send(app, {"n": n}, orderingKey="a") for n in range(3)]
    others = [api.send(app, orderingKey="b"), api.send(app)]
    endpoint = api.new_endpoint(app, receiver.url(path), ordering="key", retrySchedule=[0.6, 0.6, 0.6, 0.6])
    # Whichever is tried first fails: every message needs two attempts, so that all wait for a retry once.
    receiver.script(path, *[Reply(500)] * 3, Reply(200))
    task = svix.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=ago(minutes=5)))
    assert finished(svix, task)["messagesSent"] == 5
    for message in (first, second, third, *others):
        receiver.wait_message(message["id"], path)
        assert api.wait_final(app, message, endpoint)[-1]["status"] == SUCCESS
    got = received(receiver, path)
    # The second one of the key is not begun before the first one has succeeded, for all its failures.
    assert len(got) == 8 and got.count(first["id"]) == 2
    assert [id for id in got if id in ids([first, second, third])] == [first["id"], *ids([first, second, third])]


@pytest.mark.parametrize("operation", ["recover", "replay-missing"])
def test_a_filter_of_the_others(api, svix, app, receiver, path, operation):
    """What bulk-replay takes to choose messages by, the others do not let pass unheard."""
    if operation == "recover":
        receiver.script(path, Reply(404))
        endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[])
    rows = {
        "red": api.send(app, {}, "t.red", channels=["red"], tags=["x"]),
        "blue": api.send(app, {}, "t.blue", channels=["blue"], tags=["x", "y"]),
        "plain": api.send(app, {}, "t.plain"),
    }
    if operation == "recover":
        for message in rows.values():
            api.wait_final(app, message, endpoint)
        receiver.script(path, Reply(200))
        receiver.clear()
    else:
        endpoint = api.new_endpoint(app, receiver.url(path))
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/{operation}"
    since = {"since": ago(minutes=5).isoformat()}
    for fields, names in (
        ({"eventTypes": ["t.none"]}, []),
        ({"eventTypes": ["t.red", "t.none"]}, ["red"]),
        ({"tag": "y"}, ["blue"]),
        ({"channel": "red"}, []),
        ({}, ["plain"]),
    ):
        receiver.clear()
        task = api.ok("POST", url, {**since, **fields}, 202)
        done = finished(svix, SimpleNamespace(**task))
        assert (done["messagesSent"], done["messagesTotal"]) == (len(names), len(names)), fields
        assert sorted(received(receiver, path)) == sorted(ids([rows[name] for name in names]))
    is_invalid(api.post(url, {**since, "eventTypes": ["not good"]}), "body", "eventTypes", "[0]")
    is_invalid(api.post(url, {**since, "channel": "a b"}), "body", "channel")
    is_invalid(api.post(url, {**since, "tag": ""}), "body", "tag")


# ---- bulk-replay ----


@pytest.fixture
def sent(api, app, endpoint, receiver, path):
    """Messages of an endpoint by name: good ones of two types, channels and tags, one that failed with 404, one that
    failed with 500."""
    rows = {
        "red": api.send(app, {}, "t.red", channels=["red"], tags=["a\\b"]),
        "blue": api.send(app, {}, "t.blue", channels=["blue", "red"], tags=["c"]),
    }
    for name in ("red", "blue"):
        api.wait_final(app, rows[name], endpoint)
    for name, code in (("gone", 404), ("broken", 500)):
        receiver.script(path, Reply(code))
        rows[name] = api.send(app, {}, "t.bad")
        api.wait_final(app, rows[name], endpoint)
    receiver.script(path, Reply(200))
    receiver.clear()
    return rows


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["blue", "broken", "gone", "red"]),
        ({"event_types": ["t.red", "t.none"]}, ["red"]),
        ({"event_types": ["t.blue", "t.bad"]}, ["blue", "broken", "gone"]),
        ({"channel": "red"}, ["blue", "red"]),
        ({"channel": "blue"}, ["blue"]),
        ({"tag": "a\\b"}, ["red"]),
        ({"tag": "c"}, ["blue"]),
        ({"status": MessageStatus.SUCCESS}, ["blue", "red"]),
        ({"status": MessageStatus.FAIL}, ["broken", "gone"]),
        ({"status": MessageStatus.PENDING}, []),
        ({"status_code_class": StatusCodeClass.CODE4XX}, ["gone"]),
        ({"status_code_class": StatusCodeClass.CODE5XX, "status": MessageStatus.FAIL}, ["broken"]),
        ({"status_code_class": StatusCodeClass.CODE_NONE}, []),
    ],
    ids=lambda value: "+".join(map(str, value)) or "all",
)
def test_bulk_replay_sends_what_its_filter_takes(svix, app, endpoint, receiver, path, sent, fields, names):
    task = svix.endpoint.bulk_replay(app["id"], endpoint["id"], BulkReplayIn(since=ago(minutes=5), **fields))
    assert task.task == BackgroundTaskType.ENDPOINT_BULK_REPLAY
    assert finished(svix, task)["messagesSent"] == len(names)
    by_id = {message["id"]: name for name, message in sent.items()}
    assert sorted(by_id[got] for got in received(receiver, path)) == names


def test_a_bulk_replay_is_tried_by_the_schedule(api, svix, app, endpoint, receiver, path):
    (message,) = send_all(api, app, endpoint, 1)
    receiver.script(path, Reply(503), Reply(503), Reply(200))
    task = svix.endpoint.bulk_replay(app["id"], endpoint["id"], BulkReplayIn(since=ago(minutes=5)))
    assert finished(svix, task)["messagesSent"] == 1
    wait_for(lambda: len(received(receiver, path)) == 4, what="three more attempts")
    assert api.wait_final(app, message, endpoint)[-1]["status"] == SUCCESS


# ---- limits of what can be asked for ----


@pytest.mark.parametrize("operation", ["recover", "replay-missing", "bulk-replay"])
def test_what_cannot_be_asked_for(api, app, endpoint, operation):
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/{operation}"
    since = ago(hours=1).isoformat()
    is_invalid(api.post(url, {}), "body", "since", kind="value_error.jsondecode")
    is_invalid(api.post(url, {"since": "yesterday"}), "body", "since")
    is_invalid(api.post(url, {"since": since, "until": ago(hours=2).isoformat()}), "body", "since", kind="value_error")
    is_invalid(api.post(url, {"since": (now() + timedelta(hours=1)).isoformat()}), "body", "since")
    for rate in (0, -1, 100001, 1.5, "fast"):
        is_invalid(api.post(url, {"since": since, "rate": rate}), "body", "rate")
    nobody = f"/app/{app['id']}/endpoint/nobody/{operation}"
    is_error(api.post(nobody, {"since": since}), 404, "not_found")
    old = api.post(url, {"since": ago(days=14, minutes=10).isoformat()})
    if operation == "recover":
        is_invalid(old, "body", "since", kind="value_error")
        assert api.post(url, {"since": ago(days=14, minutes=4).isoformat()}).status_code == 202
    else:
        assert old.status_code == 202, old.text


def test_a_bad_filter(api, svix, app, endpoint):
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/bulk-replay"
    since = {"since": ago(hours=1).isoformat()}
    is_invalid(api.post(url, {**since, "eventTypes": ["good", "not good"]}), "body", "eventTypes", "[1]")
    is_invalid(api.post(url, {**since, "eventTypes": ["x"] * 101}), "body", "eventTypes")
    is_invalid(api.post(url, {**since, "channel": "a b"}), "body", "channel")
    is_invalid(api.post(url, {**since, "tag": ""}), "body", "tag")
    is_invalid(api.post(url, {**since, "tag": "x" * 129}), "body", "tag")
    is_invalid(api.post(url, {**since, "status": 5}), "body", "status")
    is_invalid(api.post(url, {**since, "statusCodeClass": 250}), "body", "statusCodeClass")
    with pytest.raises(HTTPValidationError):
        svix.endpoint.bulk_replay(app["id"], endpoint["id"], BulkReplayIn(since=ago(days=1), channel="a b"))


def test_the_same_key_gives_the_same_task(api, svix, app, endpoint, receiver, path):
    receiver.script(path, Reply(500))
    send_all(api, app, endpoint, 1)
    receiver.script(path, Reply(200))
    options = EndpointRecoverOptions(idempotency_key=unique("key"))
    window = RecoverIn(since=ago(minutes=5))
    tasks = [svix.endpoint.recover(app["id"], endpoint["id"], window, options) for _ in range(3)]
    assert len({task.id for task in tasks}) == 1 and id_pattern("qtask").match(tasks[0].id)
    assert finished(svix, tasks[0])["messagesSent"] == 1
    assert svix.endpoint.recover(app["id"], endpoint["id"], window).id != tasks[0].id


# ---- the list, and who may see what ----


def test_tasks_are_listed(org, server, receiver, path):
    svix = Svix(org.token, SvixOptions(server_url=server.url, timeout=net(30)))
    app = org.new_app()
    endpoint = org.new_endpoint(app, receiver.url(path))
    made = [svix.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=ago(hours=1))) for _ in range(3)]
    made.append(svix.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=ago(hours=1))))
    made.append(svix.statistics.aggregate_event_types())
    for task in made:
        finished(svix, task)
    names = [task.id for task in made]

    def listed(**options):
        return [row.id for row in svix.background_task.list(BackgroundTaskListOptions(**options)).data]

    assert listed() == names[::-1]
    assert listed(order=Ordering.ASCENDING) == names
    assert listed(task=BackgroundTaskType.ENDPOINT_RECOVER) == names[2::-1]
    assert listed(task=BackgroundTaskType.MESSAGE_BROADCAST) == []
    assert listed(status=BackgroundTaskStatus.FINISHED) == names[::-1]
    assert listed(status=BackgroundTaskStatus.RUNNING) == listed(status=BackgroundTaskStatus.FAILED) == []
    page = svix.background_task.list(BackgroundTaskListOptions(limit=2))
    assert [row.id for row in page.data] == names[:2:-1] and not page.done
    page = svix.background_task.list(BackgroundTaskListOptions(limit=3, iterator=page.iterator))
    assert [row.id for row in page.data] == names[2::-1] and page.done
    for query in ("status=done", "task=nothing", "order=random"):
        is_error(org.get("/background-task?" + query), 400, "generic_error")
    is_invalid(org.get("/background-task?limit=251"), "query", "limit")
    is_invalid(org.get("/background-task?iterator=msg_x"), "query", "iterator")
    # Of another organisation there is nothing to see.
    stranger = server.api(server.jwt("org_" + unique("s").replace("-", "").rjust(27, "0")))
    assert stranger.ok("GET", "/background-task")["data"] == []
    for method, url in (("GET", ""), ("POST", "/cancel")):
        is_error(stranger.request(method, f"/background-task/{names[0]}{url}"), 404, "not_found")
    is_error(org.get("/background-task/qtask_nothing"), 404, "not_found")


def test_an_application_sees_its_own_tasks(api, svix, server, app, endpoint, receiver, path):
    other = api.new_app()
    other_endpoint = api.new_endpoint(other, receiver.url(path))
    mine = Svix(server.app_token(app["id"]), SvixOptions(server_url=server.url, timeout=net(30)))
    since = ago(hours=1)
    own = [
        mine.endpoint.recover(app["id"], endpoint["id"], RecoverIn(since=since)),
        mine.endpoint.replay_missing(app["id"], endpoint["id"], ReplayIn(since=since)),
        mine.endpoint.bulk_replay(app["id"], endpoint["id"], BulkReplayIn(since=since)),
        mine.message.expunge_all_contents(app["id"]),
    ]
    foreign = svix.endpoint.recover(other["id"], other_endpoint["id"], RecoverIn(since=since))
    statistics = svix.statistics.aggregate_event_types()
    assert [row.id for row in mine.background_task.list().data] == [task.id for task in own[::-1]]
    assert finished(mine, own[0])["appId"] == app["id"]
    for task in (foreign, statistics):
        with pytest.raises(HttpError) as error:
            mine.background_task.get(task.id)
        assert error.value.status_code == 404
    client = server.api(server.app_token(app["id"]))
    is_error(client.post(f"/background-task/{foreign.id}/cancel"), 404, "not_found")
    url = f"/app/{other['id']}/endpoint/{other_endpoint['id']}/recover"
    is_error(client.post(url, {"since": since.isoformat()}), 404, "not_found")
    is_error(client.put("/stats/usage/event-types"), 403, "insufficient access")
    with pytest.raises(HttpError) as error:
        mine.statistics.aggregate_app_stats(AppUsageStatsIn(since=since, until=now()))
    assert error.value.status_code == 403
    for task in (*own, foreign):
        finished(svix, task)


# ---- contents ----


def test_bulk_expunge(api, svix, app, endpoint):
    by_id, by_event_id, kept = (send_all(api, app, endpoint, 1, **fields)[0] for fields in ({}, {"eventId": "e-1"}, {}))
    foreign = api.send(api.new_app())
    asked = [by_id["id"], "e-1", "e-2", foreign["id"], "msg_" + "0" * 27, by_id["id"]]
    out = svix.message.bulk_expunge_content(app["id"], BulkExpungeContentsIn(ids=asked))
    gone, unknown = BulkExpungeStatus.EXPUNGED, BulkExpungeStatus.NOT_FOUND
    assert out.results == {
        by_id["id"]: gone,
        "e-1": gone,
        "e-2": unknown,
        foreign["id"]: unknown,
        "msg_" + "0" * 27: unknown,
    }
    for message, is_gone in ((by_id, True), (by_event_id, True), (kept, False)):
        payload = api.ok("GET", f"/app/{app['id']}/msg/{message['id']}")["payload"]
        assert (payload == {"expired": True}) is is_gone
        (attempt,) = api.attempts(app, message)
        assert (attempt["response"] == "EXPUNGED") is is_gone
    assert api.ok("GET", f"/app/{app['id']}/msg/{kept['id']}")["payload"] == {"n": 0}
    # Once more is no error.
    out = svix.message.bulk_expunge_content(app["id"], BulkExpungeContentsIn(ids=["e-1"]))
    assert out.results == {"e-1": gone}
    assert svix.message.bulk_expunge_content(app["id"], BulkExpungeContentsIn()).results == {}
    url = f"/app/{app['id']}/msg/bulk-expunge"
    is_invalid(api.post(url, {"ids": ["x"] * 251}), "body", "ids")
    is_invalid(api.post(url, {"ids": ["good", "n o"]}), "body", "ids", "[1]")
    is_invalid(api.post(url, {"ids": "x"}), "body", "ids")


def test_expunge_all_contents(api, svix, app, endpoint):
    messages = send_all(api, app, endpoint, 5)
    neighbour = api.new_app()
    untouched = api.send(neighbour, {"n": 7})
    task = svix.message.expunge_all_contents(app["id"])
    assert task.task == BackgroundTaskType.APPLICATION_PURGE_CONTENT
    data = finished(svix, task)
    assert (data["messagesPurged"], data["messagesTotal"], data["appId"]) == (5, 5, app["id"])
    for message in messages:
        assert api.ok("GET", f"/app/{app['id']}/msg/{message['id']}")["payload"] == {"expired": True}
        assert api.attempts(app, message)[0]["response"] == "EXPUNGED"
    assert api.ok("GET", f"/app/{neighbour['id']}/msg/{untouched['id']}")["payload"] == {"n": 7}
    later = api.send(app, {"n": 8})
    assert api.ok("GET", f"/app/{app['id']}/msg/{later['id']}")["payload"] == {"n": 8}
    assert finished(svix, svix.message.expunge_all_contents(app["id"]))["messagesPurged"] == 1


# ---- statistics ----


def test_stats_of_an_endpoint(api, svix, app, endpoint, receiver, path):
    send_all(api, app, endpoint, 2)
    middle = between()
    receiver.script(path, Reply(500))
    send_all(api, app, endpoint, 1)

    def counts(**options):
        stats = svix.endpoint.get_stats(app["id"], endpoint["id"], EndpointGetStatsOptions(**options))
        return stats.success, stats.pending, stats.sending, stats.fail, stats.canceled

    assert counts() == (2, 0, 0, 3, 0)
    assert counts(since=middle) == (0, 0, 0, 3, 0)
    assert counts(until=middle) == (2, 0, 0, 0, 0)
    attempts = svix.endpoint.get_attempt_stats(app["id"], endpoint["id"])
    assert (attempts.success, attempts.fail, attempts.canceled) == (2, 3, 0)
    url = f"/app/{app['id']}/attempt/endpoint/{endpoint['id']}/count"
    for params, count in (
        ({}, 5),
        ({"status": 0}, 2),
        ({"status": 2}, 3),
        ({"status": 1}, 0),
        ({"before": middle.isoformat()}, 2),
        ({"after": middle.isoformat(), "status": 2}, 3),
    ):
        assert api.ok("GET", url, params=params) == {"count": count, "approximated": False}, params
    is_error(api.get(url, params={"channel": "x"}), 400, "generic_error")
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/stats"
    for since, until in (
        (ago(days=28, minutes=10), None),
        (None, now() + timedelta(minutes=1)),
        (now(), ago(hours=1)),
    ):
        params = {key: value.isoformat() for key, value in (("since", since), ("until", until)) if value}
        is_error(api.get(url, params=params), 400, "invalid_range")
    assert api.get(url, params={"since": ago(days=28, minutes=4).isoformat()}).status_code == 200
    is_error(api.get(url, params={"since": "soon"}), 400, "generic_error")


def test_stats_show_what_waits(receiver, path):
    with Server({"retry_schedule": "3600"}) as slow:
        api = slow.api()
        svix = Svix(slow.org_token, SvixOptions(server_url=slow.url, timeout=net(30)))
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path), throttleRate=1)
        receiver.script(path, Reply(500))
        for _ in range(20):
            api.send(app)
        first = wait_for(
            lambda: (lambda s: s.fail >= 1 and s)(svix.endpoint.get_stats(app["id"], endpoint["id"])), what="an attempt"
        )
        assert first.sending == first.fail and first.pending + first.sending <= 20 and first.pending >= 3


def test_usage_of_applications(org, server, receiver, path):
    svix = Svix(org.token, SvixOptions(server_url=server.url, timeout=net(30)))
    start = now()
    busy, idle = org.new_app(uid=unique("busy")), org.new_app()
    endpoints = [org.new_endpoint(busy, receiver.url(path)) for _ in range(2)]
    receiver.script(path, Reply(500))
    for _ in range(3):
        message = org.send(busy)
        for endpoint in endpoints:
            org.wait_final(busy, message, endpoint)
    task = svix.statistics.aggregate_app_stats(AppUsageStatsIn(since=start, until=now() + timedelta(hours=1)))
    assert task.task == BackgroundTaskType.APPLICATION_STATS and task.unresolved_app_ids == []
    rows = {row["appId"]: row for row in finished(svix, task)["appStats"]}
    expected = {"appId": busy["id"], "appUid": busy["uid"], "messageDestinations": 6, "messages": 3, "attempts": 18}
    assert rows.pop(busy["id"]) == expected
    assert rows.pop(idle["id"]) == {
        "appId": idle["id"], "appUid": None, "messageDestinations": 0, "messages": 0, "attempts": 0,
    }
    assert not rows
    some = AppUsageStatsIn(since=start, until=now(), app_ids=[busy["uid"], "nobody", busy["id"]])
    task = svix.statistics.aggregate_app_stats(some)
    assert task.unresolved_app_ids == ["nobody"]
    assert finished(svix, task)["appStats"] == [expected]
    before = AppUsageStatsIn(since=ago(days=2), until=ago(days=1), app_ids=[busy["id"]])
    (row,) = finished(svix, svix.statistics.aggregate_app_stats(before))["appStats"]
    assert row["messageDestinations"] == row["messages"] == 0
    window = {"since": start.isoformat(), "until": now().isoformat()}
    is_invalid(org.post("/stats/usage/app", {**window, "appIds": ["nobody"]}), "body", "appIds")
    is_invalid(org.post("/stats/usage/app", {"since": window["since"]}), "body", "until")
    is_invalid(org.post("/stats/usage/app", {"since": window["until"], "until": window["since"]}), "body", "since")


def test_event_types_of_applications(org, server, receiver, path):
    svix = Svix(org.token, SvixOptions(server_url=server.url, timeout=net(30)))
    for name in ("b", "a", "c"):
        org.new_event_type(name)
    some, every = org.new_app(), org.new_app()
    org.new_endpoint(some, receiver.url(path), eventTypes=["b", "a"])
    org.new_endpoint(some, receiver.url(path), eventTypes=["a"], disabled=True)
    gone = org.new_endpoint(some, receiver.url(path), eventTypes=["c"])
    org.ok("DELETE", f"/app/{some['id']}/endpoint/{gone['id']}", status=204)
    org.new_endpoint(every, receiver.url(path))
    task = svix.statistics.aggregate_event_types()
    assert task.task == BackgroundTaskType.EVENT_TYPE_AGGREGATE
    assert finished(svix, task)["event_types"] == [
        {"appId": some["id"], "explicitlySubscribedEventTypes": ["a", "b"], "hasCatchAllEndpoint": False},
        {"appId": every["id"], "explicitlySubscribedEventTypes": [], "hasCatchAllEndpoint": True},
    ]


# ---- cancel-msgs ----


def test_cancel_messages(receiver, path):
    with Server({"retry_schedule": "3600"}) as slow:
        api = slow.api()
        app = api.new_app()
        endpoint, neighbour = (api.new_endpoint(app, receiver.url(path + name), throttleRate=1) for name in ("", "-b"))
        old = [api.send(app) for _ in range(20)]
        # Times of messages are fine to 4 ms.
        new = [wait_for(lambda: (lambda m: m["timestamp"] > old[-1]["timestamp"] and m)(api.send(app)), what="a tick")]
        new.append(api.send(app))
        url = f"/app/{app['id']}/endpoint/{endpoint['id']}/cancel-msgs"
        api.ok("POST", url, {"createdBefore": new[0]["timestamp"]}, status=204)

        def states(at):
            rows = [api.ok("GET", f"/app/{app['id']}/msg/{m['id']}/endpoint")["data"] for m in (*old, *new)]
            return [next(row["statusText"] for row in row_list if row["id"] == at["id"]) for row_list in rows]

        last = wait_for(
            lambda: (lambda now: set(now[:20]) <= {"success", "canceled"} and now)(states(endpoint)), what="their end"
        )
        assert last.count("canceled") >= 5
        assert "canceled" not in last[20:] and "canceled" not in states(neighbour)
        # Only the newer ones come now.
        before = len(received(receiver, path))
        api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"throttleRate": None})
        for message in new:
            receiver.wait_message(message["id"], path)
        cancelled = {old[i]["id"] for i in range(20) if last[i] == "canceled"}
        assert not cancelled & set(received(receiver, path)[before:])
        is_invalid(api.post(url, {}), "body", "createdBefore")
