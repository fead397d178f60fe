# SPDX-License-Identifier: Apache-2.0
"""Background tasks through the official SDK: recover, replays, purge, statistics, and how tasks are listed and
cancelled."""

from datetime import datetime, timedelta, timezone

import pytest
from harness.api import FAIL, SUCCESS
from harness.receiver import Reply
from harness.server import Server
from harness.wait import SLOWNESS, wait_for
from svix.api import BackgroundTaskStatus, BackgroundTaskType, RecoverIn, Svix, SvixOptions

MANUAL = 1


def now():
    return datetime.now(timezone.utc)


def ago(**kwargs):
    return now() - timedelta(**kwargs)


@pytest.fixture(scope="module")
def svix(server):
    return Svix(server.org_token, SvixOptions(server_url=server.url, timeout=30 * SLOWNESS))


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
        svix = Svix(slow.org_token, SvixOptions(server_url=slow.url))
        app = api.new_app()
        # So slow that the others wait behind the first ones.
        endpoint = api.new_endpoint(app, receiver.url(path), throttleRate=1)
        messages = [api.send(app, {"n": n}) for n in range(4)]
        (first,) = receiver.wait(path, 1)
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
        wait_for(lambda: len(received(receiver, path)) == 4, what="all four")
        assert sorted(received(receiver, path)) == sorted(ids(messages))
        assert first.message_id == messages[0]["id"]


def test_recover_heeds_its_window(api, svix, app, endpoint, receiver, path):
    receiver.script(path, Reply(500))
    send_all(api, app, endpoint, 1)
    middle = now()
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
