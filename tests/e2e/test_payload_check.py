# SPDX-License-Identifier: Apache-2.0
"""Payloads that have to fit the schema of their event type before a message is accepted."""

import json
import threading
import time

import httpx
import pytest
from harness import prometheus
from harness.api import is_invalid, unique
from harness.server import Server
from harness.wait import SLOWNESS, net
from svix.api import (
    EventTypeImportOpenApiIn,
    EventTypeIn,
    EventTypePatch,
    MessageIn,
    Svix,
    SvixOptions,
)
from svix.exceptions import HTTPValidationError
from svix.models import EventTypeUpsertIn

pytestmark = pytest.mark.smoke

ORDER = {
    "type": "object",
    "required": ["id", "lines"],
    "properties": {
        "id": {"type": "string", "pattern": "^ord_[0-9]+$"},
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/line"}},
        "total": {"type": "integer", "maximum": 9007199254740992},
    },
    "additionalProperties": False,
    "definitions": {
        "line": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1}}}
    },
}
FITTING = {"id": "ord_1", "lines": [{"count": 2}]}


def client(server, api):
    return Svix(api.token, SvixOptions(server_url=server.url, timeout=net(30)))


def new_type(api, schemas=None, **fields):
    """The name of a new type that validates."""
    schemas = {"1": ORDER} if schemas is None else schemas
    return api.new_event_type(schemas=schemas, validatePayload=True, **fields)["name"]


def send(api, app, name, payload, **fields):
    return api.post(f"/app/{app['id']}/msg", {"eventType": name, "payload": payload, **fields})


def metric(server, name):
    return prometheus.parse(httpx.get(server.url + "/metrics", timeout=net(5)).text).value(name)


# ---- messages ----


def test_what_does_not_fit_is_refused(server, org, receiver, path):
    svix = client(server, org)
    app = org.new_app()
    name = new_type(org)
    endpoint = org.new_endpoint(app, receiver.url(path))
    with pytest.raises(HTTPValidationError) as caught:
        svix.message.create(app["id"], MessageIn(event_type=name, payload={**FITTING, "lines": [{"count": 1}, {}]}))
    detail = caught.value.detail[0]
    assert detail.loc == ["body", "payload", "lines", "[1]"]
    assert detail.msg == "`/lines/1`: lacks `count`, which is required"
    assert svix.message.list(app["id"]).data == [], "nothing of it stays"
    message = svix.message.create(app["id"], MessageIn(event_type=name, payload=FITTING))
    org.wait_final(app, {"id": message.id}, endpoint)
    assert [json.loads(request.body) for request in receiver.requests(path)] == [FITTING]


@pytest.mark.parametrize(
    "payload,loc,words",
    [
        ({}, [], "`/`: lacks `id`, which is required"),
        ({**FITTING, "id": "ord_x"}, ["id"], "`/id`: does not match `pattern`"),
        ({**FITTING, "id": 1}, ["id"], "`/id`: is not of type string"),
        ({**FITTING, "lines": []}, ["lines"], "`/lines`: has fewer than 1 elements"),
        ({**FITTING, "lines": [{"count": 0}]}, ["lines", "[0]", "count"], "`/lines/0/count`: is below `minimum`"),
        ({**FITTING, "a.b": 1}, ["a.b"], "`/a.b`: is not allowed"),
        ({**FITTING, "total": 9007199254740993}, ["total"], "`/total`: is above `maximum`"),
        ({**FITTING, "total": 1.5}, ["total"], "`/total`: is not of type integer"),
    ],
)
def test_places_and_words(org, payload, loc, words):
    app = org.new_app()
    item = is_invalid(send(org, app, new_type(org), payload), "body", "payload", msg=words)
    assert item["loc"] == ["body", "payload", *loc] and item["type"] == "value_error"


def test_each_of_doubled_members_has_to_fit(org):
    app = org.new_app()
    name = new_type(org, {"1": {"properties": {"a": {"type": "null"}}}})
    for text in ('{"a": 1, "a": null}', '{"a": null, "a": 1}', '{"a": null, "\\u0061": 1}'):
        content = f'{{"eventType": "{name}", "payload": {text}}}'
        is_invalid(org.post(f"/app/{app['id']}/msg", content=content), "body", "payload", "a")
    org.send_text(app, b'{"a": null, "\\u0061": null}', name)


def test_other_types_are_not_held_against_anything(server, org):
    app = org.new_app()
    name = new_type(org)
    off = org.new_event_type(schemas={"1": ORDER})
    assert off["validatePayload"] is False
    for other in (off["name"], org.new_event_type()["name"], name + ".x", "never.registered"):
        org.send(app, {"n": 1}, other)
    stranger = server.api(server.jwt("org_" + unique("s").replace("-", "").rjust(27, "0")))
    stranger.send(stranger.new_app(), {"n": 1}, name)  # another organisation's type of that name
    is_invalid(send(org, app, name, {"n": 1}), "body", "payload")


def test_the_newest_version_counts(org):
    app = org.new_app()
    versions = {"2": {"required": ["two"]}, "10": {"required": ["ten"]}, "9": {"required": ["nine"]}, "x": False}
    name = new_type(org, versions)
    refused = send(org, app, name, {"two": 1, "nine": 1})
    is_invalid(refused, "body", "payload", msg="`/`: lacks `ten`, which is required")
    org.send(app, {"ten": 1}, name)
    org.ok("PATCH", f"/event-type/{name}", {"schemas": {**versions, "11": {"required": ["eleven"]}}})
    is_invalid(send(org, app, name, {"ten": 1}), "body", "payload")
    org.send(app, {"eleven": 1}, name)
    named = new_type(org, {"alpha": False, "beta": True})
    org.send(app, {"n": 1}, named)


def test_the_raw_body_of_a_message_is_the_senders(org):
    """What is checked is the payload; `rawPayload` replaces what is sent, whatever it is."""
    app = org.new_app()
    name = new_type(org)
    parameters = {"rawPayload": "no JSON"}
    assert send(org, app, name, FITTING, transformationsParams=parameters).status_code == 202
    is_invalid(send(org, app, name, {}, transformationsParams=parameters), "body", "payload")


def test_each_message_of_a_batch(org):
    app = org.new_app()
    name = new_type(org)
    messages = [{"eventType": name, "payload": payload} for payload in (FITTING, {"id": 1}, FITTING)]
    messages.append({"eventType": "other", "payload": {}})
    results = org.ok("POST", f"/app/{app['id']}/msg/batch", {"messages": messages}, 202)["results"]
    assert [result["status"] for result in results] == [202, 422, 202, 202]
    assert results[1]["error"]["detail"][0]["loc"] == ["body", "payload", "id"]
    assert len(org.ok("GET", f"/app/{app['id']}/msg")["data"]) == 3


def test_a_batch_has_one_budget(org):
    """Many expressions without an end take no longer than one."""
    app = org.new_app()
    name = new_type(org, {"1": {"properties": {"a": {"pattern": "^(a+)+$"}}}})
    message = {"eventType": name, "payload": {"a": "a" * 60 + "b"}}
    begin = time.monotonic()
    results = org.ok("POST", f"/app/{app['id']}/msg/batch", {"messages": [message] * 1000}, 202)["results"]
    assert {result["status"] for result in results} == {422}
    assert time.monotonic() - begin < 30 * SLOWNESS


def test_an_example_is_not_held_against_it(org, receiver, path):
    """`send-example` shows what is in the catalogue."""
    app = org.new_app()
    name = new_type(org, {"1": {**ORDER, "examples": [{"any": "thing"}]}})
    endpoint = org.new_endpoint(app, receiver.url(path))
    org.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example", {"eventType": name})


def test_a_refused_message_may_be_mended_under_its_key(org):
    app = org.new_app()
    name = new_type(org)
    body = {"eventType": name, "payload": {"id": "ord_7"}, "eventId": unique("event")}
    headers = {"idempotency-key": unique("key")}
    is_invalid(org.post(f"/app/{app['id']}/msg", body, headers=headers), "body", "payload")
    body["payload"] = FITTING
    assert org.post(f"/app/{app['id']}/msg", body, headers=headers).status_code == 202


# ---- changing it ----


def test_it_is_switched_at_once(server, org):
    """Whatever thread of the server the next message comes to."""
    app = org.new_app()
    name = org.new_event_type(schemas={"1": ORDER})["name"]
    message = {"eventType": name, "payload": {}}
    url = f"{server.url}/api/v1/app/{app['id']}/msg"
    with httpx.Client(headers={"authorization": f"Bearer {org.token}"}, timeout=net(5)) as others:
        for is_on in (True, False) * 8:
            org.ok("PATCH", f"/event-type/{name}", {"validatePayload": is_on})
            for _ in range(4):
                assert others.post(url, json=message).status_code == (422 if is_on else 202)
            # A connection of its own, that may be another thread's.
            response = httpx.post(url, json=message, headers=others.headers, timeout=net(5))
            assert response.status_code == (422 if is_on else 202)


def test_changes_under_load(server, org):
    """A message that is sent after a change was answered is judged by it, while others come in all the time."""
    app = org.new_app()
    name = new_type(org, {"1": {"const": {"v": 0}}})
    url = f"{server.url}/api/v1/app/{app['id']}/msg"
    headers = {"authorization": f"Bearer {org.token}"}
    current = [0]
    wrong = []
    end = threading.Event()

    def work():
        with httpx.Client(headers=headers, timeout=net(30)) as session:
            while not end.is_set():
                before = current[0]
                status = session.post(url, json={"eventType": name, "payload": {"v": before}}).status_code
                # It was right before; it may have become wrong meanwhile. (In this order: a change ends the other way.)
                if status != 202 and not changing.is_set() and current[0] == before:
                    wrong.append((before, status))

    changing = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 25):
        changing.set()
        org.ok("PATCH", f"/event-type/{name}", {"schemas": {"1": {"const": {"v": version}}}})
        stale = send(org, app, name, {"v": version - 1}).status_code
        fresh = send(org, app, name, {"v": version}).status_code
        assert (stale, fresh) == (422, 202)
        current[0] = version
        changing.clear()
    end.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_clients_of_the_original_leave_it_alone(server, org):
    svix = client(server, org)
    app = org.new_app()
    name = new_type(org)
    svix.event_type.upsert(name, EventTypeUpsertIn(description="other", schemas={"1": {"required": ["a"]}}))
    svix.event_type.patch(name, EventTypePatch(description="another"))
    assert org.ok("GET", f"/event-type/{name}")["validatePayload"] is True
    assert svix.event_type.get(name).schemas == {"1": {"required": ["a"]}}
    is_invalid(send(org, app, name, {}), "body", "payload")
    org.ok("PUT", f"/event-type/{name}", {"description": "x", "validatePayload": False})
    org.send(app, {}, name)
    svix.event_type.upsert(name, EventTypeUpsertIn(description="y"))
    listed = org.ok("GET", "/event-type", params={"limit": 250})["data"]
    assert [row["validatePayload"] for row in listed if row["name"] == name] == [False]


def test_an_archived_type_is_not_asked(server, org):
    svix = client(server, org)
    app = org.new_app()
    name = new_type(org)
    svix.event_type.delete(name)
    org.send(app, {}, name)
    org.ok("PATCH", f"/event-type/{name}", {"archived": False})
    is_invalid(send(org, app, name, {}), "body", "payload")
    svix.event_type.delete(name)
    revived = org.ok("POST", "/event-type", {"name": name, "description": "", "schemas": {"1": ORDER}}, 201)
    assert revived["validatePayload"] is False
    org.send(app, {}, name)


BAD_SCHEMAS = [
    (None, "a schema is needed for payloads to be validated by"),
    ({}, "a schema is needed for payloads to be validated by"),
    ({"1": {"pattern": "("}}, "`/pattern`: is no regular expression: missing closing parenthesis at offset 1"),
    ({"1": {"items": {"$ref": "https://example.com/x"}}}, "`/items`: the reference leads out of the schema"),
    ({"1": {"items": {"$ref": "#/nowhere"}}}, "`/items`: the reference leads to nothing in the schema"),
    ({"1": {"allOf": [{"$ref": "#"}]}}, "`/`: it refers to itself without an end"),
    (
        {"1": {"$schema": "https://json-schema.org/draft/2020-12/schema"}},
        "`/$schema`: payloads are validated by draft 7 only, http://json-schema.org/draft-07/schema#",
    ),
]


@pytest.mark.parametrize("schemas,words", BAD_SCHEMAS)
def test_schemas_that_cannot_be_used(org, schemas, words):
    on = {"validatePayload": True}
    body = {"description": "", "schemas": schemas}
    name = unique("type")
    is_invalid(org.post("/event-type", {**body, **on, "name": name}), "body", "schemas", msg=words)
    is_invalid(org.put(f"/event-type/{name}", {**body, **on}), "body", "schemas", msg=words)
    assert org.get(f"/event-type/{name}").status_code == 404
    # They are no hindrance as long as nothing is validated.
    org.ok("POST", "/event-type", {**body, "name": name}, 201)
    is_invalid(org.patch(f"/event-type/{name}", on), "body", "schemas", msg=words)
    org.ok("PATCH", f"/event-type/{name}", {**on, "schemas": {"1": True}})
    is_invalid(org.patch(f"/event-type/{name}", {"schemas": schemas}), "body", "schemas", msg=words)
    is_invalid(org.put(f"/event-type/{name}", body), "body", "schemas", msg=words)
    org.ok("PATCH", f"/event-type/{name}", {"schemas": schemas, "validatePayload": False})
    assert org.patch("/event-type/" + unique("none"), on).status_code == 404


@pytest.mark.parametrize("value", ["yes", 1, {}])
def test_the_switch_is_a_boolean(org, value):
    name = org.new_event_type()["name"]
    is_invalid(org.patch(f"/event-type/{name}", {"validatePayload": value}), "body", "validatePayload")
    is_invalid(org.patch(f"/event-type/{name}", {"validatePayload": None}), "body", "validatePayload")


def openapi(schema):
    post = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    return {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {"order": {"post": post}}}


def test_an_import_leaves_it_on(server, org):
    svix = client(server, org)
    app = org.new_app()
    svix.event_type.create(EventTypeIn(name="order", description=""))
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=openapi({"type": "object", "required": ["a"]})))
    org.send(app, {}, "order")
    org.ok("PATCH", "/event-type/order", {"validatePayload": True})
    is_invalid(send(org, app, "order", {}), "body", "payload")
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=openapi({"type": "object", "required": ["b"]})))
    item = is_invalid(send(org, app, "order", {"a": 1}), "body", "payload")
    assert item["msg"] == "`/`: lacks `b`, which is required"
    org.send(app, {"b": 1}, "order")
    bad = org.post("/event-type/import/openapi", {"spec": openapi({"pattern": "("})})
    assert is_invalid(bad, "body", "spec")["msg"].startswith("event type order: `/pattern`: is no regular expression")
    org.send(app, {"b": 1}, "order")


# ---- limits, and what stays ----


def test_an_expression_without_an_end(server, org):
    """It is cut off, and others are served meanwhile."""
    app = org.new_app()
    name = new_type(org, {"1": {"properties": {"a": {"pattern": "^(a+)+$"}}}})
    begin = time.monotonic()
    item = is_invalid(send(org, app, name, {"a": "a" * 60 + "b"}), "body", "payload")
    assert item["loc"] == ["body", "payload"]
    assert item["msg"] == "it takes too much work to validate this by the schema"
    assert time.monotonic() - begin < 30 * SLOWNESS
    org.send(app, {"a": "a" * 60}, name)


def test_more_types_than_are_remembered(server, org):
    """Each thread keeps the compiled schemas of 256 types: those beyond are compiled again when they are needed."""
    app = org.new_app()
    names = [unique(f"type{number}") for number in range(300)]
    for number, name in enumerate(names):
        new_type(org, {"1": {"const": {"v": number}}}, name=name)
    before = metric(server, "posthorn_payload_schemas_forgotten_total")
    url = f"{server.url}/api/v1/app/{app['id']}/msg"
    with httpx.Client(headers={"authorization": f"Bearer {org.token}"}, timeout=net(30)) as one:
        for _ in range(2):
            for number, name in enumerate(names):
                for value, status in ((number, 202), (number + 1, 422)):
                    answer = one.post(url, json={"eventType": name, "payload": {"v": value}})
                    assert answer.status_code == status, (number, answer.text)
    assert metric(server, "posthorn_payload_schemas_forgotten_total") >= before + 300


def test_metrics(server, org):
    app = org.new_app()
    name = new_type(org)
    names = [f"posthorn_payload{rest}_total" for rest in ("s_checked", "s_refused", "_schemas_compiled")]
    before = [metric(server, each) for each in names]
    org.send(app, FITTING, name)
    is_invalid(send(org, app, name, {}), "body", "payload")
    org.send(app, {}, "other")
    after = [metric(server, each) for each in names]
    assert after[0] == before[0] + 2 and after[1] == before[1] + 1 and after[2] >= before[2] + 1


def test_it_outlives_a_restart():
    with Server() as server:
        api = server.api()
        app = api.new_app()
        name = new_type(api)
        server.restart()
        api = server.api()
        is_invalid(send(api, app, name, {}), "body", "payload")
        api.send(app, FITTING, name)
