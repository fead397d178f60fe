# SPDX-License-Identifier: Apache-2.0
"""An organisation's environment goes from one server to another."""

import json
import threading

import pytest
from harness.api import DATE, is_error, is_invalid, unique
from harness.server import Server
from harness.wait import net
from svix.api import EnvironmentIn, EventTypeIn, Svix, SvixOptions

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "examples": [{"n": 1}]}
EXPORT, IMPORT = "/environment/export", "/environment/import"


def client(server, token):
    return Svix(token, SvixOptions(server_url=server.url, timeout=net(60)))


@pytest.fixture
def svix(server, org):
    return client(server, org.token)


def without_times(environment):
    """What has to be the same wherever it was imported."""
    assert DATE.match(environment["createdAt"])
    types = [{k: v for k, v in row.items() if k not in ("createdAt", "updatedAt")} for row in environment["eventTypes"]]
    return {**environment, "createdAt": None, "eventTypes": types}


def fill(api):
    """One of each kind, more than a page of them."""
    flags = {"featureFlags": ["a", "b"], "deprecated": True}
    api.new_event_type("z.all", description="ü", schemas={"1": SCHEMA, "2": True}, **flags)
    api.new_event_type("a.checked", groupName="group", schemas={"1": SCHEMA}, validatePayload=True)
    api.new_event_type("m.flag", featureFlag="beta")
    api.new_event_type("m.gone", schemas={"1": SCHEMA})
    api.ok("DELETE", "/event-type/m.gone", status=204)
    rows = [{"name": f"n.{n:03}", "description": f"number {n}"} for n in range(600)]
    api.ok("POST", IMPORT, {"eventTypes": rows}, 204)


@pytest.mark.smoke
def test_there_and_back(org):
    fill(org)
    first = org.ok("POST", EXPORT)
    assert (first["version"], first["settings"], first["connectors"]) == (1, None, [])
    names = [row["name"] for row in first["eventTypes"]]
    assert len(names) == 604 and names == sorted(names)
    by_name = {row["name"]: row for row in first["eventTypes"]}
    assert by_name["m.gone"]["archived"] is True and by_name["m.gone"]["schemas"] == {"1": SCHEMA}
    with Server() as other:
        api = other.api()
        api.ok("POST", IMPORT, first, 204)
        second = api.ok("POST", EXPORT)
        assert without_times(second) == without_times(first)
        # And onto itself: nothing is changed or doubled, nor created anew.
        api.ok("POST", IMPORT, second, 204)
        third = api.ok("POST", EXPORT)
        assert without_times(third) == without_times(first)
        assert [row["createdAt"] for row in third["eventTypes"]] == [row["createdAt"] for row in second["eventTypes"]]
        # The rules came along, too.
        message = {"eventType": "a.checked", "payload": {"n": "x"}}
        is_invalid(api.post(f"/app/{api.new_app()['id']}/msg", message), "body", "payload", "n")


@pytest.mark.smoke
def test_with_the_sdk(svix):
    assert svix.environment.export().event_types == []
    types = [EventTypeIn(name="one", description="1", schemas={"1": SCHEMA}), EventTypeIn(name="two", description="2")]
    assert svix.environment.import_(EnvironmentIn(event_types=types)) is None
    exported = svix.environment.export()
    assert [row.name for row in exported.event_types] == ["one", "two"]
    assert exported.event_types[0].schemas == {"1": SCHEMA} and exported.connectors == [] and exported.version == 1
    # What an export gives can be given back as it is, with what the import has no use for.
    svix.environment.import_(EnvironmentIn.model_validate_json(exported.model_dump_json(by_alias=True)))
    assert svix.environment.export().event_types[0].created_at == exported.event_types[0].created_at


def test_it_adds_and_replaces_and_deletes_nothing(org):
    org.new_event_type("kept", description="as it is")
    org.new_event_type("changed", description="old", schemas={"1": SCHEMA}, groupName="g", validatePayload=True)
    org.new_event_type("revived", schemas={"1": SCHEMA}, validatePayload=True)
    org.ok("DELETE", "/event-type/revived", status=204)
    before = org.ok("GET", "/event-type/kept")
    rows = [{"name": "new", "description": "n"}] + [
        {"name": name, "description": "new", "schemas": {"2": SCHEMA}} for name in ("changed", "revived")
    ]
    org.ok("POST", IMPORT, {"eventTypes": rows, "settings": {"colour": "red"}, "connectors": []}, 204)
    assert org.ok("GET", "/event-type/kept") == before
    assert org.ok("GET", "/event-type/new")["description"] == "n"
    changed = org.ok("GET", "/event-type/changed")
    assert (changed["description"], changed["schemas"], changed.get("groupName")) == ("new", {"2": SCHEMA}, None)
    assert changed["validatePayload"] is True, "who cannot say it leaves it alone"
    revived = org.ok("GET", "/event-type/revived")
    assert revived["archived"] is False and revived["validatePayload"] is False, "nothing of a former life stays"
    for nothing in ({}, {"eventTypes": None}, {"eventTypes": []}, {"settings": None, "connectors": None}):
        org.ok("POST", IMPORT, nothing, 204)


ELSEWHERE = {"1": {"$ref": "https://elsewhere.example/"}}
CHECKED = {"name": "b", "description": "", "schemas": ELSEWHERE, "validatePayload": True}


@pytest.mark.parametrize(
    "row, loc",
    [
        ({"description": ""}, ("eventTypes", "[1]", "name")),
        ({"name": "a b", "description": ""}, ("eventTypes", "[1]", "name")),
        ({"name": "b"}, ("eventTypes", "[1]", "description")),
        ({"name": "b", "description": "", "archived": 1}, ("eventTypes", "[1]", "archived")),
        ({"name": "b", "description": "", "schemas": {"1": {"type": "x"}}}, ("eventTypes", "[1]", "schemas")),
        ({"name": "b", "description": "", "featureFlags": ["a", 1]}, ("eventTypes", "[1]", "featureFlags", "[1]")),
        (CHECKED, ("eventTypes", "[1]", "schemas")),
        ({"name": "a", "description": ""}, ("eventTypes",)),
        ("b", ("eventTypes", "[1]")),
    ],
    ids=str,
)
def test_all_or_nothing(org, row, loc):
    is_invalid(org.post(IMPORT, {"eventTypes": [{"name": "a", "description": ""}, row]}), "body", *loc)
    assert org.ok("POST", EXPORT)["eventTypes"] == []


def test_what_is_refused(org, api, app, server):
    is_invalid(org.post(IMPORT, {"eventTypes": {}}), "body", "eventTypes")
    is_invalid(org.post(IMPORT, {"settings": []}), "body", "settings")
    connector = {"name": "c", "transformation": "function handler(w) { return w; }"}
    is_invalid(org.post(IMPORT, {"connectors": [connector]}), "body", "connectors")
    own = server.api(server.app_token(app["id"]))
    is_error(own.post(EXPORT), 403, "insufficient access")
    is_error(own.post(IMPORT, {}), 403, "insufficient access")
    is_error(server.api("nonsense").post(EXPORT), 401, "authentication_failed")


def test_limits(org):
    """The most that is taken is given again; one more, or a byte more, is not."""
    rows = [{"name": f"t.{n:05}", "description": ""} for n in range(10_001)]
    is_invalid(org.post(IMPORT, {"eventTypes": rows}), "body", "eventTypes")
    org.ok("POST", IMPORT, {"eventTypes": rows[:-1]}, 204)
    assert len(org.ok("POST", EXPORT)["eventTypes"]) == 10_000
    org.ok("POST", "/event-type", rows[-1], 201)
    is_error(org.post(EXPORT), 400, "limit_reached")


@pytest.mark.parametrize("how", ["environment", "openapi"])
def test_others_are_served_between_its_steps(org, how):
    """Messages are published while the types are written, not before or after all of them."""
    count = 4000
    names = [f"t.{n:05}" for n in range(count)]
    if how == "environment":
        path, body, status = IMPORT, {"eventTypes": [{"name": name, "description": ""} for name in names]}, 204
    else:
        webhooks = {name: {"post": {"description": ""}} for name in names}
        spec = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": webhooks}
        path, body, status = "/event-type/import/openapi", {"spec": spec, "replaceAll": True}, 200
        for n in range(300):
            org.new_event_type(f"old.{n}")
    app = org.new_app()
    is_over = threading.Event()
    times = []

    def publish():
        while not is_over.is_set():
            times.append(org.send(app)["timestamp"])

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        org.ok("POST", path, body, status)
    finally:
        is_over.set()
        publisher.join()
    rows = org.ok("POST", EXPORT)["eventTypes"]
    made = sorted(row["createdAt"] for row in rows if row["name"].startswith("t."))
    assert len(made) == count
    assert len(set(made)) == count / 200, "so many transactions"
    assert len([time for time in times if made[0] < time < made[-1]]) >= 5
    assert all(row["archived"] for row in rows if row["name"].startswith("old."))


def test_limits_of_bytes(org):
    big = {"1": {"type": "object", "description": "x" * 1_900_000}}
    rows = [{"name": f"t.{n}", "description": "", "schemas": big} for n in range(8)]
    text = json.dumps({"eventTypes": rows})
    assert 15 * 2**20 > len(text) > 14 * 2**20
    org.ok("POST", IMPORT, None, 204, content=text.encode())
    assert len(org.post(EXPORT).content) > 14 * 2**20
    more = {"1": {"type": "object", "description": "x" * 1_000_000}}
    assert org.post(IMPORT, {"eventTypes": [*rows, *rows[:1]]}).status_code == 413
    rows = [{"name": f"u.{n}", "description": "", "schemas": more} for n in range(2)]
    org.ok("POST", IMPORT, {"eventTypes": rows}, 204)
    is_error(org.post(EXPORT), 400, "limit_reached")


def test_a_retried_import_happens_once(org):
    headers = {"idempotency-key": unique("key")}
    body = {"eventTypes": [{"name": "a", "description": "first"}]}
    org.ok("POST", IMPORT, body, 204, headers=headers)
    org.ok("PUT", "/event-type/a", {"description": "later"})
    org.ok("POST", IMPORT, body, 204, headers=headers)
    assert org.ok("GET", "/event-type/a")["description"] == "later"
