# SPDX-License-Identifier: Apache-2.0
"""The official Python SDK, unmodified, as its users call it. Its models check the shape of every answer."""

import asyncio
import json
from datetime import datetime, timedelta, timezone

import pytest
import standardwebhooks
from harness import signatures
from harness.api import unique
from harness.receiver import Reply
from harness.wait import net, wait_for
from svix import api as models
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EndpointSecretRotateIn,
    EventTypeIn,
    EventTypeListOptions,
    EventTypePatch,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageIn,
    MessageListOptions,
    Svix,
    SvixAsync,
    SvixOptions,
)
from svix.api.message import message_in_raw
from svix.exceptions import HttpError, HTTPValidationError
from svix.webhooks import Webhook, WebhookVerificationError

pytestmark = pytest.mark.smoke

WITH_CONTENT = MessageAttemptListByMsgOptions(with_content=True)


@pytest.fixture(scope="module")
def options(server):
    return SvixOptions(server_url=server.url, timeout=net(30))


@pytest.fixture(scope="module")
def svix(server, options):
    return Svix(server.org_token, options)


@pytest.fixture
def sdk_app(svix):
    return svix.application.create(ApplicationIn(name="SDK"))


@pytest.fixture
def sdk_endpoint(svix, sdk_app, receiver, path):
    return svix.endpoint.create(sdk_app.id, EndpointIn(url=receiver.url(path)))


def attempts(svix, app, message, count=1):
    found = []

    def enough():
        found[:] = svix.message_attempt.list_by_msg(app.id, message.id, WITH_CONTENT).data
        return len(found) >= count

    wait_for(enough, 10, f"{count} attempts of {message.id}")
    return found


def test_health(svix):
    assert svix.health.get() is None


def test_application(svix):
    uid = unique("sdk")
    app = svix.application.create(ApplicationIn(name="One", uid=uid, throttle_rate=100, metadata={"k": "v"}))
    assert (app.name, app.uid, app.throttle_rate, app.metadata) == ("One", uid, 100, {"k": "v"})
    assert app.created_at.tzinfo is not None
    assert svix.application.get(uid) == app == svix.application.get(app.id)
    assert svix.application.get_or_create(ApplicationIn(name="Other", uid=uid)) == app
    assert svix.application.patch(app.id, ApplicationPatch(name="Two")).name == "Two"
    assert svix.application.upsert(app.id, ApplicationIn(name="Three")).uid is None
    made = svix.application.upsert(unique("none"), ApplicationIn(name="Made"))
    assert made.id != app.id
    svix.application.delete(made.id)
    with pytest.raises(HttpError) as error:
        svix.application.get(made.id)
    assert (error.value.status_code, error.value.code) == (404, "not_found")


def test_listing_applications(server, options):
    svix = Svix(server.jwt("org_" + "0" * 24 + "SDK"), options)
    empty = svix.application.list()
    assert (empty.data, empty.iterator, empty.done) == ([], None, True)
    made = [svix.application.create(ApplicationIn(name=f"{n}")).id for n in range(5)]
    seen, iterator = [], None
    while True:
        page = svix.application.list(ApplicationListOptions(limit=2, iterator=iterator))
        seen += [app.id for app in page.data]
        iterator = page.iterator
        if page.done:
            break
    assert seen == made
    page = svix.application.list(ApplicationListOptions(limit=2, order=models.Ordering.DESCENDING))
    assert [app.id for app in page.data] == made[:-3:-1]
    back = svix.application.list(ApplicationListOptions(limit=2, iterator=f"-{made[2]}"))
    assert [app.id for app in back.data] == made[:2]


def test_event_type(svix):
    name = unique("sdk.type")
    schema = {"1": {"type": "object", "title": "T"}}
    made = svix.event_type.create(EventTypeIn(name=name, description="d", schemas=schema))
    assert (made.name, made.description, made.archived, made.deprecated) == (name, "d", False, False)
    assert svix.event_type.get(name).schemas == schema
    listed = svix.event_type.list(EventTypeListOptions(limit=250, with_content=True)).data
    assert name in [row.name for row in listed]
    assert svix.event_type.patch(name, EventTypePatch(description="e")).description == "e"
    assert svix.event_type.upsert(name, models.EventTypeUpsertIn(description="f")).description == "f"
    with pytest.raises(HttpError) as error:
        svix.event_type.create(EventTypeIn(name=name, description="again"))
    assert (error.value.status_code, error.value.code) == (409, "event_type_exists")
    svix.event_type.delete(name)
    assert svix.event_type.get(name).archived is True


def test_endpoint(svix, sdk_app):
    kind = svix.event_type.create(EventTypeIn(name=unique("sdk.kind"), description="")).name
    endpoint = svix.endpoint.create(
        sdk_app.id,
        EndpointIn(
            url="http://example.com/x",
            uid=unique("ep"),
            description="d",
            event_types=[kind],
            channels=["a"],
            metadata={"k": "v"},
            throttle_rate=5,
        ),
    )
    assert (endpoint.event_types, endpoint.channels, endpoint.throttle_rate) == ([kind], ["a"], 5)
    assert svix.endpoint.get(sdk_app.id, endpoint.uid) == endpoint
    patched = svix.endpoint.patch(sdk_app.id, endpoint.id, EndpointPatch(disabled=True, channels=None))
    assert (patched.disabled, patched.channels, patched.event_types) == (True, None, [kind])
    upserted = svix.endpoint.upsert(sdk_app.id, endpoint.id, models.EndpointUpsertIn(url="http://example.com/y"))
    assert (upserted.url, upserted.disabled, upserted.uid) == ("http://example.com/y", False, None)
    page = svix.endpoint.list(sdk_app.id, EndpointListOptions(limit=1))
    assert [row.id for row in page.data] == [endpoint.id] and page.done
    svix.endpoint.delete(sdk_app.id, endpoint.id)
    assert svix.endpoint.list(sdk_app.id).data == []


def test_endpoint_headers(svix, sdk_app, sdk_endpoint, receiver, path):
    where = (sdk_app.id, sdk_endpoint.id)
    svix.endpoint.set_headers(*where, EndpointHeadersIn(headers={"X-One": "1", "X-Two": "2"}))
    svix.endpoint.patch_headers(*where, EndpointHeadersPatchIn(headers={"X-Three": "3"}, delete_headers=["X-Two"]))
    got = svix.endpoint.get_headers(*where)
    assert (got.headers, got.sensitive) == ({"X-One": "1", "X-Three": "3"}, [])
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={}))
    request = receiver.wait_message(message.id, path)[0]
    assert (request.header("x-one"), request.header("x-two"), request.header("x-three")) == ("1", None, "3")


def test_secrets(svix, sdk_app, sdk_endpoint, receiver, path):
    where = (sdk_app.id, sdk_endpoint.id)
    old = svix.endpoint.get_secret(*where).key
    given = signatures.new_symmetric(32, b"s")
    # This version of the SDK reads the new secret from the answer of the rotation.
    answer = svix.endpoint.rotate_secret(*where, EndpointSecretRotateIn(key=given, grace_period_seconds=600))
    assert answer.key == given == svix.endpoint.get_secret(*where).key
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={"x": 1}))
    request = receiver.wait_message(message.id, path)[0]
    for key in (old, given):
        Webhook(key).verify(request.body, request.header_map)
        assert standardwebhooks.Webhook(key).verify(request.body, request.header_map) == {"x": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.new_symmetric(32, b"t")).verify(request.body, request.header_map)


def test_message(svix, sdk_app):
    payload = {"runId": "918", "nested": {"list": [1, 2.5, None, True]}, "text": "✓"}
    event_id = unique("ev")
    message = svix.message.create(
        sdk_app.id, MessageIn(event_type="job.done", payload=payload, event_id=event_id, channels=["c"], tags=["t"])
    )
    assert message.payload == {}, "the SDK asks for no content unless told"
    assert (message.event_type, message.event_id, message.channels) == ("job.done", event_id, ["c"])
    assert abs(message.timestamp - datetime.now(timezone.utc)) < timedelta(seconds=30)
    full = svix.message.create(
        sdk_app.id, MessageIn(event_type="job.done", payload=payload), MessageCreateOptions(with_content=True)
    )
    assert full.payload == payload
    assert svix.message.get(sdk_app.id, event_id, MessageGetOptions(with_content=True)).payload == payload
    assert svix.message.get(sdk_app.id, message.id).payload == {}
    listed = svix.message.list(sdk_app.id, MessageListOptions(limit=1, with_content=True))
    assert [row.id for row in listed.data] == [full.id] and not listed.done
    by_channel = svix.message.list(sdk_app.id, MessageListOptions(channel="c", event_types=["job.done", "other"]))
    assert [row.id for row in by_channel.data] == [message.id]
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    assert len(svix.message.list(sdk_app.id, MessageListOptions(after=hour_ago)).data) == 2
    assert svix.message.list(sdk_app.id, MessageListOptions(before=hour_ago)).data == []
    with pytest.raises(HttpError) as error:
        svix.message.create(sdk_app.id, MessageIn(event_type="job.done", payload={}, event_id=event_id))
    assert error.value.status_code == 409


def test_message_in_raw(svix, sdk_app, sdk_endpoint, receiver, path):
    message = svix.message.create(sdk_app.id, message_in_raw("raw.type", "just <text>"))
    request = receiver.wait_message(message.id, path)[0]
    assert request.body == b"just <text>"
    Webhook(svix.endpoint.get_secret(sdk_app.id, sdk_endpoint.id).key).verify(request.body, request.header_map)


def test_message_attempts(svix, sdk_app, sdk_endpoint, receiver, path):
    receiver.script(path, Reply(500, body=b"not now"), Reply(200, body=b"thanks"))
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload={"n": 1}))
    second, first = attempts(svix, sdk_app, message, 2)
    assert (first.status, first.status_text, first.response) == (
        models.MessageStatus.FAIL,
        models.MessageStatusText.FAIL,
        "not now",
    )
    outcome = (second.status, second.response_status_code, second.response)
    assert outcome == (models.MessageStatus.SUCCESS, 200, "thanks")
    assert second.trigger_type == models.MessageAttemptTriggerType.SCHEDULED
    assert (second.msg_id, second.endpoint_id, second.url) == (message.id, sdk_endpoint.id, sdk_endpoint.url)
    api = svix.message_attempt
    by_endpoint = api.list_by_endpoint(
        sdk_app.id,
        sdk_endpoint.id,
        MessageAttemptListByEndpointOptions(
            limit=1,
            status=models.MessageStatus.SUCCESS,
            status_code_class=models.StatusCodeClass.CODE2XX,
            with_msg=True,
            event_types=["a"],
        ),
    )
    assert [row.id for row in by_endpoint.data] == [second.id]
    assert by_endpoint.data[0].msg.id == message.id
    assert api.get(sdk_app.id, message.id, first.id).response_status_code == 500
    (row,) = api.list_attempted_messages(sdk_app.id, sdk_endpoint.id).data
    assert (row.id, row.status, row.next_attempt) == (message.id, models.MessageStatus.SUCCESS, None)
    (row,) = api.list_attempted_destinations(sdk_app.id, message.id).data
    assert (row.id, row.status, row.url) == (sdk_endpoint.id, models.MessageStatus.SUCCESS, sdk_endpoint.url)
    api.resend(sdk_app.id, message.id, sdk_endpoint.id)
    third = attempts(svix, sdk_app, message, 3)[0]
    assert third.trigger_type == models.MessageAttemptTriggerType.MANUAL


def test_what_the_receiver_gets(svix, sdk_app, sdk_endpoint, receiver, path):
    payload = {"b": 1, "a": {"ü": "✓"}}
    message = svix.message.create(sdk_app.id, MessageIn(event_type="a", payload=payload))
    request = receiver.wait_message(message.id, path)[0]
    assert json.loads(request.body) == payload and list(json.loads(request.body)) == ["b", "a"]
    secret = svix.endpoint.get_secret(sdk_app.id, sdk_endpoint.id).key
    assert Webhook(secret).verify(request.body, request.header_map) is None
    assert standardwebhooks.Webhook(secret).verify(request.body, request.header_map) == payload
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body.replace(b"1", b"2"), request.header_map)


def test_errors_become_exceptions(svix, server, options, sdk_app):
    with pytest.raises(HTTPValidationError) as invalid:
        svix.application.create(ApplicationIn(name=""))
    assert invalid.value.detail[0].loc[:2] == ["body", "name"]
    with pytest.raises(HTTPValidationError):
        svix.endpoint.create(sdk_app.id, EndpointIn(url="no url"))
    with pytest.raises(HttpError) as error:
        Svix("nonsense", options).application.list()
    assert (error.value.status_code, error.value.code) == (401, "authentication_failed")
    with pytest.raises(HttpError) as error:
        Svix(server.app_token(sdk_app.id), options).application.list()
    assert error.value.status_code == 403


def test_what_is_not_offered_is_an_exception_and_no_crash(svix):
    """Operations outside this server's range answer with the error envelope, which the SDK can read."""
    with pytest.raises(HttpError) as error:
        svix.streaming.stream.list()
    assert error.value.status_code in (404, 501) and error.value.code in ("not_found", "not_implemented")


def test_an_application_token(svix, server, options, sdk_app, sdk_endpoint):
    own = Svix(server.app_token(sdk_app.id), options)
    assert own.application.get(sdk_app.id).id == sdk_app.id
    assert [row.id for row in own.endpoint.list(sdk_app.id).data] == [sdk_endpoint.id]


def test_the_asynchronous_client(server, options, receiver, path):
    async def scenario():
        svix = SvixAsync(server.org_token, options)
        app = await svix.application.create(ApplicationIn(name="async"))
        await svix.endpoint.create(app.id, EndpointIn(url=receiver.url(path)))
        sends = [svix.message.create(app.id, MessageIn(event_type="a", payload={"n": n})) for n in range(20)]
        return [message.id for message in await asyncio.gather(*sends)]

    ids = asyncio.run(scenario())
    assert len(set(ids)) == 20
    assert {request.message_id for request in receiver.wait(path, 20)} == set(ids)
