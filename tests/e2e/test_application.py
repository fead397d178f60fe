# SPDX-License-Identifier: Apache-2.0
"""Applications: the resource as the SDKs know it."""

import pytest
from harness.api import APP_ID, DATE, is_error, is_invalid, unique

pytestmark = pytest.mark.smoke

EXISTS = "An application with that id or uid already exists"


def test_create_with_the_least(api):
    app = api.ok("POST", "/app", {"name": "Least"}, 201)
    assert APP_ID.match(app["id"])
    assert DATE.match(app["createdAt"]) and DATE.match(app["updatedAt"])
    rest = {key: value for key, value in app.items() if key not in ("id", "createdAt", "updatedAt")}
    # uid and rateLimit are left out when unset, throttleRate is null.
    assert rest == {"name": "Least", "throttleRate": None, "metadata": {}}


def test_create_with_everything(api):
    uid = unique("uid")
    body = {"name": "Größe 大", "uid": uid, "throttleRate": 65535, "metadata": {"a": "1", "b": ""}}
    app = api.ok("POST", "/app", body, 201)
    assert (app["name"], app["uid"], app["metadata"]) == ("Größe 大", uid, {"a": "1", "b": ""})
    assert app["throttleRate"] == 65535 and app["rateLimit"] == 65535
    assert api.ok("GET", f"/app/{app['id']}") == app
    assert api.ok("GET", f"/app/{uid}") == app


def test_the_old_name_of_the_rate(api):
    assert api.new_app(rateLimit=7)["throttleRate"] == 7
    assert api.new_app(rateLimit=7, throttleRate=9)["throttleRate"] == 9


def test_unknown_keys_and_content_type_do_not_matter(api):
    body = b'{"name": "x", "nonsense": {"deep": [1, 2]}}'
    response = api.post("/app", content=body, headers={"Content-Type": "text/plain"})
    assert response.status_code == 201
    assert api.post("/app", content=body).status_code == 201
    assert api.get("/app", params={"exclude_apps_with_no_endpoints": "true", "nonsense": "1"}).status_code == 200


def test_null_means_absent_on_create(api):
    app = api.ok("POST", "/app", {"name": "n", "uid": None, "throttleRate": None, "metadata": None}, 201)
    assert "uid" not in app and app["metadata"] == {} and app["throttleRate"] is None


@pytest.mark.parametrize("path_end", ["", "/"])
def test_a_slash_at_the_end_changes_nothing(api, app, path_end):
    assert api.get(f"/app{path_end}").status_code == 200
    assert api.ok("GET", f"/app/{app['id']}{path_end}")["id"] == app["id"]


WRONG_SHAPES = {
    "no name": {},
    "name null": {"name": None},
    "name number": {"name": 5},
    "uid number": {"name": "x", "uid": 5},
    "throttleRate text": {"name": "x", "throttleRate": "5"},
    "throttleRate fraction": {"name": "x", "throttleRate": 1.5},
    "throttleRate negative": {"name": "x", "throttleRate": -1},
    "throttleRate too big": {"name": "x", "throttleRate": 65536},
    "metadata list": {"name": "x", "metadata": []},
    "metadata number": {"name": "x", "metadata": {"a": 1}},
    "a list": [],
    "a word": "x",
}


@pytest.mark.parametrize("body", WRONG_SHAPES.values(), ids=WRONG_SHAPES.keys())
def test_create_with_a_wrong_shape(api, body):
    is_invalid(api.post("/app", body), "body", kind="value_error.jsondecode")


WRONG_VALUES = {
    "empty name": ({"name": ""}, "name"),
    "control character": ({"name": "a\u0001b"}, "name"),
    "NUL": ({"name": "a\u0000b"}, "name"),
    "empty uid": ({"name": "x", "uid": ""}, "uid"),
    "uid with a space": ({"name": "x", "uid": "a b"}, "uid"),
    "uid with a slash": ({"name": "x", "uid": "a/b"}, "uid"),
    "uid not ASCII": ({"name": "x", "uid": "ä"}, "uid"),
    "uid too long": ({"name": "x", "uid": "u" * 257}, "uid"),
    "uid like an id": ({"name": "x", "uid": "app_x"}, "uid"),
    "throttleRate 0": ({"name": "x", "throttleRate": 0}, "throttleRate"),
    "rateLimit 0 beside": ({"name": "x", "throttleRate": 1, "rateLimit": 0}, "rateLimit"),
    "metadata too big": ({"name": "x", "metadata": {"k": "v" * 4096}}, "metadata"),
}


@pytest.mark.parametrize("body, field", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_a_wrong_value(api, app, body, field):
    is_invalid(api.post("/app", body), "body", field, kind="value_error")
    is_invalid(api.put(f"/app/{app['id']}", body), "body", field, kind="value_error")
    is_invalid(api.patch(f"/app/{app['id']}", body), "body", field, kind="value_error")


def test_uid_limits(api):
    for uid in ("a", "A-Z_0.9", unique("u").ljust(256, "u"), "ep_other-prefixes-are-fine", "0"):
        app = api.ok("POST", "/app", {"name": "x", "uid": uid}, 201)
        assert api.ok("GET", f"/app/{uid}")["id"] == app["id"]


def test_a_uid_is_unique(api):
    uid = unique("twice")
    first = api.new_app(uid=uid)
    is_error(api.post("/app", {"name": "again", "uid": uid}), 409, "conflict", EXISTS)
    again = api.post("/app", {"name": "again", "uid": uid}, params={"get_if_exists": "true"})
    assert again.status_code == 200 and again.json() == first
    answer = api.post("/app", {"name": "again", "uid": uid}, params={"get_if_exists": "false"})
    is_error(answer, 409, "conflict", EXISTS)
    fresh = api.post("/app", {"name": "new", "uid": unique("new")}, params={"get_if_exists": "true"})
    assert fresh.status_code == 201


def test_put_replaces_everything(api):
    app = api.new_app(uid=unique("u"), throttleRate=5, metadata={"a": "1"})
    put = api.ok("PUT", f"/app/{app['uid']}", {"name": "replaced"})
    assert put["id"] == app["id"] and put["name"] == "replaced" and put["createdAt"] == app["createdAt"]
    assert "uid" not in put and put["throttleRate"] is None and put["metadata"] == {}
    assert put["updatedAt"] > app["updatedAt"]
    is_error(api.get(f"/app/{app['uid']}"), 404, "not_found")


def test_put_creates(api):
    uid = unique("body")
    made = api.ok("PUT", "/app/not-there", {"name": "made", "uid": uid}, 201)
    assert made["uid"] == uid and APP_ID.match(made["id"])
    is_error(api.get("/app/not-there"), 404, "not_found")
    other = api.new_app()
    is_error(api.put(f"/app/{other['id']}", {"name": "x", "uid": uid}), 409, "conflict")


def test_patch_changes_what_it_names(api):
    app = api.new_app(uid=unique("u"), throttleRate=5, metadata={"a": "1", "b": "2"})
    path = f"/app/{app['id']}"
    got = api.ok("PATCH", path, {"name": "patched"})
    assert got == {**app, "name": "patched", "updatedAt": got["updatedAt"]}
    assert api.ok("PATCH", path, {"metadata": {"c": "3"}})["metadata"] == {"c": "3"}
    cleared = api.ok("PATCH", path, {"uid": None, "throttleRate": None})
    assert "uid" not in cleared and cleared["throttleRate"] is None and "rateLimit" not in cleared
    assert api.ok("PATCH", path, {})["name"] == "patched"
    is_invalid(api.patch(path, {"name": None}), "body")
    is_invalid(api.patch(path, {"name": ""}), "body", "name")
    is_invalid(api.patch(path, {"throttleRate": 0}), "body", "throttleRate")
    taken = api.new_app(uid=unique("taken"))
    is_error(api.patch(path, {"uid": taken["uid"]}), 409, "conflict")
    assert api.ok("GET", path)["name"] == "patched"


def test_delete_frees_the_uid(api):
    app = api.new_app(uid=unique("gone"))
    response = api.delete(f"/app/{app['uid']}")
    assert response.status_code == 204 and response.content == b""
    for name in (app["id"], app["uid"]):
        is_error(api.get(f"/app/{name}"), 404, "not_found")
        is_error(api.delete(f"/app/{name}"), 404, "not_found")
    is_error(api.post(f"/app/{app['id']}/msg", {"eventType": "x", "payload": {}}), 404, "not_found")
    assert api.new_app(uid=app["uid"])["id"] != app["id"]


def test_ids_follow_time(api):
    ids = [api.new_app()["id"] for _ in range(20)]
    assert ids == sorted(ids) and len(set(ids)) == 20


def test_an_id_that_was_mistyped_is_not_found(api, app):
    last = app["id"][-1]
    wrong = app["id"][:-1] + ("a" if last != "a" else "b")
    for name in (wrong, "app_" + "0" * 27, "app_short", "nothing", app["id"].lower() + "x"):
        is_error(api.get(f"/app/{name}"), 404, "not_found")
