# SPDX-License-Identifier: Apache-2.0
"""Integrations: other services that act for an application with a key of their own."""

import os
import re

import pytest
from harness.api import DATE, id_pattern, is_error, is_invalid
from harness.server import Server
from harness.wait import net
from svix.api import ApplicationIn, EndpointIn, IntegrationIn, IntegrationUpdate, Svix, SvixOptions
from svix.exceptions import HttpError

pytestmark = pytest.mark.smoke

KEY = re.compile(r"integsk_[A-Za-z0-9_-]{32}")
INVALID = ("authentication_failed", "Invalid token")
FORBIDDEN = ("insufficient access", "Insufficient access for the given operation.")


@pytest.fixture(scope="module")
def options(server):
    return SvixOptions(server_url=server.url, timeout=net(30))


@pytest.fixture(scope="module")
def svix(server, options):
    return Svix(server.org_token, options)


def new_integration(api, app, **fields):
    """An integration and a key of it."""
    root = f"/app/{app['id']}/integration"
    made = api.ok("POST", root, {"name": "zapier", **fields}, 201)
    return made, api.ok("GET", f"{root}/{made['id']}/key")["key"]


def test_the_life_of_an_integration(svix, api, options):
    app = svix.application.create(ApplicationIn(name="integrated"))
    made = svix.integration.create(app.id, IntegrationIn(name="zapier", feature_flags=["beta"]))
    assert id_pattern("integ").match(made.id) and (made.name, made.feature_flags) == ("zapier", ["beta"])
    assert svix.integration.get(app.id, made.id) == made
    updated = svix.integration.update(app.id, made.id, IntegrationUpdate(name="Zapier"))
    assert (updated.name, updated.feature_flags, updated.created_at) == ("Zapier", None, made.created_at)
    other = svix.integration.create(app.id, IntegrationIn(name="make"))
    assert [row.id for row in svix.integration.list(app.id).data] == [other.id, made.id]
    # The SDKs of today read a key only when they rotate it.
    key = api.ok("GET", f"/app/{app.id}/integration/{made.id}/key")["key"]
    assert KEY.fullmatch(key) and api.ok("GET", f"/app/{app.id}/integration/{made.id}/key")["key"] == key
    own = Svix(key, options)
    assert own.application.get(app.id).id == app.id
    endpoint = own.endpoint.create(app.id, EndpointIn(url="http://127.0.0.1:9/"))
    assert own.endpoint.get_secret(app.id, endpoint.id).key.startswith("whsec_")
    rotated = svix.integration.rotate_key(app.id, made.id).key
    assert KEY.fullmatch(rotated) and rotated != key
    with pytest.raises(HttpError) as error:
        own.application.get(app.id)
    assert (error.value.status_code, error.value.code) == (401, "authentication_failed")
    assert api.ok("GET", f"/app/{app.id}/integration/{made.id}/key")["key"] == rotated
    assert Svix(rotated, options).application.get(app.id).id == app.id
    svix.integration.delete(app.id, made.id)
    with pytest.raises(HttpError) as error:
        Svix(rotated, options).application.get(app.id)
    assert error.value.status_code == 401
    with pytest.raises(HttpError) as error:
        svix.integration.get(app.id, made.id)
    assert error.value.status_code == 404


def test_the_answer_of_the_wire(api, app):
    made, _ = new_integration(api, app)
    assert set(made) == {"id", "name", "createdAt", "updatedAt"} and DATE.match(made["createdAt"])
    page = api.ok("GET", f"/app/{app['id']}/integration", params={"limit": 1, "order": "ascending"})
    assert page == {"data": [made], "iterator": made["id"], "prevIterator": "-" + made["id"], "done": True}


def test_what_a_key_may_do(server, api, app, receiver, path):
    made, key = new_integration(api, app)
    own = server.api(key)
    root = f"/app/{app['id']}"
    endpoint = own.new_endpoint(app, receiver.url(path))
    message = api.send(app)
    assert own.wait_attempts(app, message)[0]["endpointId"] == endpoint["id"]
    own.ok("POST", f"{root}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", None, 202)
    own.ok("GET", "/event-type")
    assert own.ok("GET", f"{root}/integration/{made['id']}") == made
    # As any token of an application it is no organisation, and it sees no other application.
    is_error(own.get("/app"), 403, *FORBIDDEN)
    is_error(own.post(f"{root}/msg", {"eventType": "a", "payload": {}}), 403, *FORBIDDEN)
    is_error(own.get(f"/app/{api.new_app()['id']}"), 404, "not_found")
    # It cannot make itself another one, nor end itself.
    is_error(own.post(f"{root}/integration", {"name": "x"}), 403, *FORBIDDEN)
    is_error(own.get(f"{root}/integration/{made['id']}/key"), 403, *FORBIDDEN)
    is_error(own.post(f"{root}/integration/{made['id']}/key/rotate"), 403, *FORBIDDEN)
    is_error(own.delete(f"{root}/integration/{made['id']}"), 403, *FORBIDDEN)
    is_error(own.post("/auth/logout"), 403, *FORBIDDEN)
    # Expire-all is for tokens.
    assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204
    own.ok("GET", root)


def test_who_may_manage_them(server, api, app):
    made, _ = new_integration(api, app)
    root = f"/app/{app['id']}/integration"
    whole = server.api(server.app_token(app["id"]))
    assert KEY.fullmatch(whole.ok("GET", f"{root}/{made['id']}/key")["key"])
    whole.ok("POST", root, {"name": "x"}, 201)
    limited = ["ViewBase", "ViewEndpointSecret", "ManageEndpointSecret", "ManageEndpoint", "CreateAttempts"]
    token = api.ok("POST", f"/auth/app-portal-access/{app['id']}", {"capabilities": limited})["token"]
    portal = server.api(token)
    assert portal.ok("GET", f"{root}/{made['id']}") == made
    is_error(portal.get(f"{root}/{made['id']}/key"), 403, *FORBIDDEN)
    is_error(portal.post(f"{root}/{made['id']}/key/rotate"), 403, *FORBIDDEN)
    is_error(portal.post(root, {"name": "x"}), 403, *FORBIDDEN)
    other = api.new_app()
    is_error(api.get(f"/app/{other['id']}/integration/{made['id']}"), 404, "not_found")
    is_error(api.get(f"/app/{other['id']}/integration/{made['id']}/key"), 404, "not_found")
    is_error(api.get(f"{root}/integ_none"), 404, "not_found")
    is_error(api.put(f"{root}/integ_none", {"name": "x"}), 404, "not_found")


def test_feature_flags_of_a_key(server, api, app):
    open_type = api.new_event_type()["name"]
    beta_type = api.new_event_type(featureFlag="be\"ta")["name"]
    made, key = new_integration(api, app, featureFlags=["be\"ta"])
    own = server.api(key)
    assert own.get(f"/event-type/{beta_type}").status_code == own.get(f"/event-type/{open_type}").status_code == 200
    api.ok("PUT", f"/app/{app['id']}/integration/{made['id']}", {"name": "x"})
    is_error(own.get(f"/event-type/{beta_type}"), 404, "not_found")
    assert own.get(f"/event-type/{open_type}").status_code == 200


@pytest.mark.parametrize(
    "body, loc",
    [
        ({}, ("name",)),
        ({"name": ""}, ("name",)),
        ({"name": 1}, ("name",)),
        ({"name": "a\0"}, ("name",)),
        ({"name": "a", "featureFlags": "beta"}, ("featureFlags",)),
        ({"name": "a", "featureFlags": ["f"] * 65}, ("featureFlags",)),
        ({"name": "a", "featureFlags": ["f" * 4097]}, ("featureFlags",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value)[:40],
)
def test_what_is_refused(api, app, body, loc):
    is_invalid(api.post(f"/app/{app['id']}/integration", body), "body", *loc)
    made, _ = new_integration(api, app)
    is_invalid(api.put(f"/app/{app['id']}/integration/{made['id']}", body), "body", *loc)


@pytest.mark.parametrize("key", ["integsk_", "integsk_" + "A" * 32, "integsk_x.y.z", "integsk_" + "A" * 9000])
def test_keys_that_are_none(server, key):
    is_error(server.api(key).get("/event-type"), 401, *INVALID)


def test_a_key_ends_with_its_application(server, api):
    app = api.new_app()
    _, key = new_integration(api, app)
    own = server.api(key)
    assert own.get("/event-type").status_code == 200
    api.ok("DELETE", f"/app/{app['id']}", None, 204)
    is_error(own.get("/event-type"), 401, *INVALID)


def test_keys_survive_a_restart_and_stay_out_of_sight(tmp_path):
    master = tmp_path / "master"
    master.touch(mode=0o600)
    master.write_bytes(os.urandom(32))
    with Server(settings={"master_key_file": master, "log_level": "debug"}) as server:
        api = server.api()
        app = api.new_app()
        made, key = new_integration(api, app)
        headers = {"idempotency-key": "rotate-1"}
        rotate = f"/app/{app['id']}/integration/{made['id']}/key/rotate"
        key = api.ok("POST", rotate, None, headers=headers)["key"]
        assert api.ok("POST", rotate, None, headers=headers)["key"] == key, "the kept answer"
        server.restart()
        assert server.api(key).ok("GET", f"/app/{app['id']}")["id"] == app["id"]
        assert api.ok("GET", f"/app/{app['id']}/integration/{made['id']}/key")["key"] == key
        server.stop()
        for file in server.data.iterdir():
            if file.is_file():
                assert key.encode() not in file.read_bytes(), file.name
        assert key not in server.log()
        server.start()
