# SPDX-License-Identifier: Apache-2.0
"""Event types: an organisation's catalogue."""

import pytest
from harness.api import DATE, is_error, is_invalid, unique

pytestmark = pytest.mark.smoke

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"runId": {"type": "string"}},
    "required": ["runId"],
    "examples": [{"runId": "918"}],
}


def names(api, **params):
    return [row["name"] for row in api.ok("GET", "/event-type", params={"limit": 250, **params})["data"]]


def test_create_with_the_least(api):
    name = unique("least")
    made = api.ok("POST", "/event-type", {"name": name, "description": "d"}, 201)
    assert DATE.match(made["createdAt"]) and DATE.match(made["updatedAt"])
    assert made["name"] == name and made["description"] == "d"
    assert made["archived"] is False and made["deprecated"] is False
    assert made.get("featureFlag") is None and made.get("schemas") is None


def test_create_with_everything(api):
    name = unique("all.of_it")
    body = {"name": name, "description": "", "deprecated": True, "schemas": {"1": SCHEMA}, "featureFlag": "beta"}
    made = api.ok("POST", "/event-type", body, 201)
    assert made["deprecated"] is True and made["featureFlag"] == "beta"
    assert api.ok("GET", f"/event-type/{name}")["schemas"] == {"1": SCHEMA}
    listed = {row["name"]: row for row in api.ok("GET", "/event-type", params={"limit": 250})["data"]}
    assert listed[name]["schemas"] is None
    listed = {
        row["name"]: row
        for row in api.ok("GET", "/event-type", params={"limit": 250, "with_content": "true"})["data"]
    }
    assert listed[name]["schemas"] == {"1": SCHEMA}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "n" * 257, "a:b"])
def test_names_that_are_refused(api, name):
    is_invalid(api.post("/event-type", {"name": name, "description": ""}), "body", "name", kind="value_error")


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"description": "x"}, {"name": 1, "description": "x"}])
def test_wrong_shapes(api, body):
    is_invalid(api.post("/event-type", body), "body", kind="value_error.jsondecode")


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"properties": []}, {"required": "runId"}, {"minimum": "1"}])
def test_a_schema_must_be_one(api, schema):
    body = {"name": unique("schema"), "description": "x", "schemas": {"1": schema}}
    is_invalid(api.post("/event-type", body), "body", "schemas")


def test_a_name_is_unique(api):
    name = api.new_event_type()["name"]
    is_error(api.post("/event-type", {"name": name, "description": "again"}), 409, "event_type_exists")


def test_archive_and_return(api):
    name = api.new_event_type()["name"]
    response = api.delete(f"/event-type/{name}")
    assert response.status_code == 204 and response.content == b""
    assert name not in names(api)
    assert name in names(api, include_archived="true")
    assert api.ok("GET", f"/event-type/{name}")["archived"] is True
    back = api.ok("POST", "/event-type", {"name": name, "description": "back"}, 201)
    assert back["archived"] is False and back["description"] == "back"
    assert name in names(api)


def test_expunge_removes(api):
    name = api.new_event_type()["name"]
    api.ok("DELETE", f"/event-type/{name}", None, 204, params={"expunge": "true"})
    is_error(api.get(f"/event-type/{name}"), 404, "not_found")
    assert name not in names(api, include_archived="true")
    is_error(api.delete(f"/event-type/{name}"), 404, "not_found")


def test_put(api):
    name = unique("put")
    assert api.ok("PUT", f"/event-type/{name}", {"description": "one", "schemas": {"1": SCHEMA}}, 201)["name"] == name
    put = api.ok("PUT", f"/event-type/{name}", {"description": "two"}, 200)
    assert put["description"] == "two"
    assert api.ok("GET", f"/event-type/{name}")["schemas"] is None


def test_patch(api):
    name = api.new_event_type(schemas={"1": SCHEMA}, featureFlag="beta")["name"]
    path = f"/event-type/{name}"
    assert api.ok("PATCH", path, {"description": "patched"})["description"] == "patched"
    got = api.ok("GET", path)
    assert got["schemas"] == {"1": SCHEMA} and got["featureFlag"] == "beta"
    assert api.ok("PATCH", path, {"deprecated": True, "archived": True})["archived"] is True
    api.ok("PATCH", path, {"schemas": None, "featureFlag": None})
    got = api.ok("GET", path)
    assert got["schemas"] is None and got.get("featureFlag") is None and got["deprecated"] is True
    is_invalid(api.patch(path, {"description": None}), "body")
    is_invalid(api.patch(path, {"featureFlags": ["a"], "featureFlag": "\0"}), "body", "featureFlag")
    assert api.ok("PATCH", path, {"featureFlags": ["a"], "featureFlag": "b"})["featureFlag"] == "a"
    is_error(api.patch("/event-type/nobody", {"description": "x"}), 404, "not_found")
    is_error(api.get("/event-type/nobody"), 404, "not_found")


def test_list_is_by_name_always(org):
    for name in ("b", "a.z", "c", "a"):
        org.new_event_type(name)
    assert names(org) == ["a", "a.z", "b", "c"]
    assert names(org, order="descending") == ["a", "a.z", "b", "c"]


def test_organisations_have_their_own(org, api):
    name = org.new_event_type()["name"]
    is_error(api.get(f"/event-type/{name}"), 404, "not_found")
