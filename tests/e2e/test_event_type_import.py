# SPDX-License-Identifier: Apache-2.0
"""Event types from OpenAPI documents."""

import json

import pytest
from harness.api import is_error, is_invalid, unique
from harness.wait import net
from svix.api import EventTypeImportOpenApiIn, EventTypeIn, EventTypeListOptions, Svix, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError

pytestmark = pytest.mark.smoke

PATH = "/event-type/import/openapi"

PET = {"type": "object", "properties": {"name": {"type": "string"}, "parent": {"$ref": "#/components/schemas/Pet"}}}


def document(**webhooks):
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pets", "version": "1"},
        "components": {"schemas": {"Pet": PET}},
        "webhooks": webhooks,
    }


def webhook(description="a pet", **operation):
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}, "example": {"name": "rex"}}}
    return {"post": {"description": description, "requestBody": {"content": content}, **operation}}


@pytest.fixture
def tenant(server):
    """An SDK client and a plain one of an organisation with nothing in it."""
    token = server.jwt("org_" + unique("import").replace("-", "").rjust(27, "0"))
    return Svix(token, SvixOptions(server_url=server.url, timeout=net(30))), server.api(token)


def listed(svix, archived=False):
    page = svix.event_type.list(EventTypeListOptions(limit=250, include_archived=archived))
    return {row.name: row.archived for row in page.data}


def test_an_import(tenant):
    svix, _ = tenant
    spec = document(**{"pet.new": webhook(), "pet.gone": {"post": {"summary": "Gone", "deprecated": True}}})
    answer = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec))
    assert answer.data.modified == ["pet.new", "pet.gone"] and answer.data.to_modify is None
    made = svix.event_type.get("pet.new")
    assert (made.description, made.deprecated, made.archived) == ("a pet", False, False)
    inner = {**PET, "properties": {"name": {"type": "string"}, "parent": {"$ref": "#/definitions/Pet"}}}
    assert made.schemas == {"1": {**inner, "definitions": {"Pet": inner}, "examples": [{"name": "rex"}]}}
    gone = svix.event_type.get("pet.gone")
    assert (gone.description, gone.deprecated, gone.schemas) == ("Gone", True, None)


def test_the_imported_example_can_be_sent(tenant, receiver, path):
    svix, api = tenant
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=document(pet=webhook())))
    app = api.new_app()
    endpoint = api.new_endpoint(app, receiver.url(path), eventTypes=["pet"])
    message = api.ok("POST", f"/app/{app['id']}/endpoint/{endpoint['id']}/send-example", {"eventType": "pet"})
    assert receiver.wait_message(message["id"], path)[0].body == b'{"name":"rex"}'


def test_a_second_import_changes_what_differs(tenant):
    svix, _ = tenant
    spec = document(one=webhook(), two=webhook(), three=webhook())
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec))
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec)).data.modified == []
    before = svix.event_type.get("one")
    spec["webhooks"]["two"] = webhook("another description")
    svix.event_type.delete("three")
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec)).data.modified == ["two", "three"]
    assert svix.event_type.get("one") == before
    two = svix.event_type.get("two")
    assert two.description == "another description" and two.created_at <= before.created_at < two.updated_at
    assert svix.event_type.get("three").archived is False, "an import revives"


def test_a_dry_run_changes_nothing(tenant):
    svix, api = tenant
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=document(same=webhook(), old=webhook())))
    flags = {"x-svix-feature-flags": ["beta"], "x-svix-group-name": "pets", "deprecated": True}
    spec = document(same=webhook(), old=webhook("changed"), new={"post": flags})
    given = EventTypeImportOpenApiIn(spec=spec, dry_run=True, replace_all=True)
    answer = svix.event_type.import_openapi(given).data
    assert answer.modified == []
    old, new = answer.to_modify
    assert (old.name, old.description, old.deprecated) == ("old", "changed", False)
    assert old.schemas["1"]["examples"] == [{"name": "rex"}]
    assert (new.name, new.description, new.deprecated, new.schemas) == ("new", "", True, None)
    assert (new.feature_flags, new.group_name) == (["beta"], "pets")
    assert listed(svix) == {"old": False, "same": False}
    assert svix.event_type.get("old").description == "a pet"
    raw = api.ok("POST", PATH, {"spec": spec, "dryRun": True})
    assert set(raw) == {"data"} and set(raw["data"]) == {"modified", "to_modify"}
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec)).data.modified == ["old", "new"]
    made = svix.event_type.get("new")
    assert (made.feature_flags, made.group_name, made.deprecated) == (["beta"], "pets", True)


def test_replace_all_archives_the_rest(tenant, server):
    svix, _ = tenant
    for name in ("a", "kept", "z"):
        svix.event_type.create(EventTypeIn(name=name, description=""))
    other = Svix(server.org_token, SvixOptions(server_url=server.url, timeout=net(30)))
    stranger = other.event_type.create(EventTypeIn(name=unique("stranger"), description="")).name
    spec = document(kept=webhook(), new=webhook())
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec))
    assert listed(svix) == {"a": False, "kept": False, "new": False, "z": False}
    answer = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec, replace_all=True))
    assert answer.data.modified == []
    assert listed(svix) == {"kept": False, "new": False}
    assert listed(svix, archived=True) == {"a": True, "kept": False, "new": False, "z": True}
    assert other.event_type.get(stranger).archived is False, "other organisations are left alone"
    svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=document(), replace_all=True))
    assert listed(svix) == {}


YAML = """
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
x-webhooks:
  pet.new:
    post:
      description: |
        A new pet
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                age: {type: integer, minimum: 0, exclusiveMinimum: true, nullable: true}
              example: {age: 3}
"""


JSON = json.dumps(document(**{"pet.new": webhook("A new pet\n")}))


@pytest.mark.parametrize("raw", [YAML, JSON], ids=["yaml", "json"])
def test_a_text(tenant, raw):
    svix, _ = tenant
    assert svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec_raw=raw)).data.modified == ["pet.new"]
    made = svix.event_type.get("pet.new")
    assert made.description == "A new pet\n"
    if raw is YAML:
        age = {"type": ["integer", "null"], "exclusiveMinimum": 0}
        assert made.schemas == {"1": {"type": "object", "properties": {"age": age}, "examples": [{"age": 3}]}}


def test_all_or_nothing(tenant):
    """What is wrong with one webhook leaves the others out too."""
    svix, _ = tenant
    spec = document(good=webhook(), bad={"post": {"requestBody": {"content": {"a/b": {"schema": {"type": "pet"}}}}}})
    with pytest.raises(HTTPValidationError) as error:
        svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec))
    assert error.value.detail[0].loc == ["body", "spec"] and "bad" in error.value.detail[0].msg
    assert listed(svix) == {}


def test_neither_and_both(tenant):
    svix, api = tenant
    for given in (EventTypeImportOpenApiIn(), EventTypeImportOpenApiIn(spec=document(), spec_raw="{}")):
        with pytest.raises(HttpError) as error:
            svix.event_type.import_openapi(given)
        assert error.value.status_code == 400
    is_error(api.post(PATH, {"spec": None, "specRaw": None}), 400, "generic_error")
    assert api.ok("POST", PATH, {"spec": document(), "specRaw": None})["data"]["modified"] == []


@pytest.mark.parametrize(
    "body, loc",
    [
        ({"spec": []}, ("spec",)),
        ({"spec": {"openapi": "2.0", "webhooks": {}}}, ("spec",)),
        ({"spec": {"openapi": "3.1.0"}}, ("spec",)),
        ({"spec": document(**{"a b": webhook()})}, ("spec",)),
        ({"specRaw": {}}, ("specRaw",)),
        ({"specRaw": ""}, ("specRaw",)),
        ({"specRaw": "a: ["}, ("specRaw",)),
        ({"specRaw": '{"webhooks": }'}, ("specRaw",)),
        ({"specRaw": "just a text"}, ("specRaw",)),
        ({"specRaw": "webhooks: {a: {post: {requestBody: {$ref: x}}}}", "dryRun": 1}, ("dryRun",)),
        ({"spec": document(), "replaceAll": "yes"}, ("replaceAll",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value)[:50],
)
def test_what_is_refused(api, body, loc):
    is_invalid(api.post(PATH, body), "body", *loc)


def test_only_organisations_import(server, api, app):
    is_error(server.api(server.app_token(app["id"])).post(PATH, {"spec": document()}), 403, "insufficient access")


def test_many_webhooks(tenant):
    svix, _ = tenant
    spec = document(**{f"type.{number:04}": webhook() for number in range(1000)})
    answer = svix.event_type.import_openapi(EventTypeImportOpenApiIn(spec=spec, replace_all=True))
    assert len(answer.data.modified) == 1000
    assert svix.event_type.get("type.0999").description == "a pet"
