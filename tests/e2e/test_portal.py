# SPDX-License-Identifier: Apache-2.0
"""Tokens of the portal: what they may do, and how they end before their time."""

import threading
import time
from datetime import datetime, timezone

import pytest
from harness import jwt
from harness.api import is_error, is_invalid, unique
from harness.server import Server
from harness.wait import SLOWNESS, net, wait_for
from svix import api as models
from svix.api import ApplicationIn, AppPortalAccessIn, EndpointIn, Svix, SvixOptions
from svix.api.authentication import AuthenticationAppPortalAccessOptions
from svix.exceptions import HttpError, HTTPValidationError

pytestmark = pytest.mark.smoke

SECRET = "a secret that only this module knows"
DEFAULT_ORG = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
FORBIDDEN = ("insufficient access", "Insufficient access for the given operation.")
INVALID = ("authentication_failed", "Invalid token")


@pytest.fixture(scope="module")
def server():
    with Server(env={"POSTHORN_JWT_SECRET": SECRET}) as running:
        yield running


@pytest.fixture(scope="module")
def options(server):
    return SvixOptions(server_url=server.url, timeout=net(30))


@pytest.fixture(scope="module")
def svix(server, options):
    return Svix(server.org_token, options)


def portal(api, app, **fields):
    """A new token for the application, and what is signed in it."""
    answer = api.ok("POST", f"/auth/app-portal-access/{app['id']}", fields)
    return answer["token"], jwt.claims(answer["token"])


def works(server, app, token):
    """Whether the token is accepted, with an exact refusal when it is not."""
    response = server.api(token).get(f"/app/{app['id']}")
    if response.status_code == 200:
        return True
    is_error(response, 401, *INVALID)
    return False


# ---- what is given out ----


def test_the_sdk_gets_a_token_and_a_link(svix, options, server):
    app = svix.application.create(ApplicationIn(name="portal"))
    access = svix.authentication.app_portal_access(app.id, AppPortalAccessIn(feature_flags=["beta"]))
    claims = jwt.claims(access.token)
    assert (claims["sub"], claims["org"], claims["iss"]) == (app.id, DEFAULT_ORG, "svix-server")
    assert claims["exp"] - claims["iat"] == 604800 and claims["nbf"] <= claims["iat"]
    assert abs(claims["iat"] - time.time()) < 60 * SLOWNESS
    assert claims["feature_flags"] == ["beta"]
    assert claims["jti"].startswith("tok_")
    assert "capabilities" not in claims and "session_id" not in claims
    # The token stands behind the `#`, which is never sent to a server.
    assert access.url == f"{server.url}/console/#app={app.id}&key={access.token}"
    own = Svix(access.token, options)
    assert own.application.get(app.id).id == app.id
    endpoint = own.endpoint.create(app.id, EndpointIn(url="http://127.0.0.1:9/"))
    assert own.endpoint.get_secret(app.id, endpoint.id).key.startswith("whsec_")
    with pytest.raises(HttpError) as error:
        own.application.list()
    assert error.value.status_code == 403


def test_every_field_reaches_the_token(svix):
    app = svix.application.create(ApplicationIn(name="portal"))
    access = svix.authentication.app_portal_access(
        app.id,
        AppPortalAccessIn(
            expiry=3600,
            session_id="session 1",
            feature_flags=["a", "b c"],
            capabilities=[models.AppPortalCapability.CREATE_ATTEMPTS, models.AppPortalCapability.VIEW_BASE],
        ),
    )
    claims = jwt.claims(access.token)
    assert claims["exp"] - claims["iat"] == 3600
    assert (claims["session_id"], claims["feature_flags"]) == ("session 1", ["a", "b c"])
    assert sorted(claims["capabilities"]) == ["CreateAttempts", "ViewBase"]


@pytest.mark.parametrize(
    "fields, left",
    [
        ({}, ["ViewBase"]),
        ({"capabilities": ["ViewBase", "ManageEndpoint", "CreateAttempts"]}, ["ViewBase"]),
        ({"capabilities": ["ViewBase", "ViewEndpointSecret"]}, ["ViewBase", "ViewEndpointSecret"]),
    ],
)
def test_read_only(api, app, fields, left):
    _, claims = portal(api, app, readOnly=True, **fields)
    assert claims["capabilities"] == left


def test_the_application_may_come_with_the_call(svix, api):
    uid = unique("portal")
    access = svix.authentication.app_portal_access(
        uid, AppPortalAccessIn(application=ApplicationIn(name="made here", uid=uid))
    )
    made = svix.application.get(uid)
    assert jwt.claims(access.token)["sub"] == made.id
    # It is there by now, so what comes along is ignored.
    again = svix.authentication.app_portal_access(
        uid, AppPortalAccessIn(application=ApplicationIn(name="other", uid=uid))
    )
    assert jwt.claims(again.token)["sub"] == made.id and svix.application.get(uid).name == "made here"
    is_error(api.post(f"/auth/app-portal-access/{unique('none')}", {}), 404, "not_found")
    path = f"/auth/app-portal-access/{unique('none')}"
    refused = is_invalid(api.post(path, {"application": {"name": "x"}}), "body", "application", "uid")
    assert refused["type"] == "application_uid_missing"
    refused = is_invalid(api.post(path, {"application": {"name": "x", "uid": "y"}}), "body", "application", "uid")
    assert refused["type"] == "application_uid_mismatch"
    is_invalid(api.post(path, {"application": {"name": ""}}), "body", "application", "name")


def test_the_deprecated_form_needs_no_body(api, app):
    answer = api.ok("POST", f"/auth/dashboard-access/{app['id']}")
    assert set(answer) == {"url", "token"} and jwt.claims(answer["token"])["sub"] == app["id"]


def test_an_idempotency_key_gives_the_same_token(svix):
    app = svix.application.create(ApplicationIn(name="portal"))
    key = AuthenticationAppPortalAccessOptions(idempotency_key=unique("key"))
    first = svix.authentication.app_portal_access(app.id, AppPortalAccessIn(), key)
    assert svix.authentication.app_portal_access(app.id, AppPortalAccessIn(), key) == first
    assert svix.authentication.app_portal_access(app.id, AppPortalAccessIn()).token != first.token


@pytest.mark.parametrize(
    "body, loc",
    [
        ({"expiry": 3599}, ("expiry",)),
        ({"expiry": 604801}, ("expiry",)),
        ({"expiry": -1}, ("expiry",)),
        ({"expiry": "1h"}, ("expiry",)),
        ({"capabilities": []}, ("capabilities",)),
        ({"capabilities": ["ManageEndpoint"]}, ("capabilities",)),
        ({"capabilities": ["ViewBase", "viewbase"]}, ("capabilities", "[1]")),
        ({"capabilities": "ViewBase"}, ("capabilities",)),
        ({"readOnly": 1}, ("readOnly",)),
        ({"sessionId": ""}, ("sessionId",)),
        ({"sessionId": "s" * 257}, ("sessionId",)),
        ({"sessionId": "s\0"}, ("sessionId",)),
        ({"featureFlags": [1]}, ("featureFlags",)),
        ({"featureFlags": ["f"] * 65}, ("featureFlags",)),
        ({"featureFlags": ["f" * 2049, "g" * 2048]}, ("featureFlags",)),
        ({"application": []}, ("application",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value)[:40],
)
def test_what_is_refused(api, app, body, loc):
    is_invalid(api.post(f"/auth/app-portal-access/{app['id']}", body), "body", *loc)


def test_the_longest_token_still_works(server, api, app):
    token, _ = portal(api, app, featureFlags=["f" * 64] * 64, sessionId="\u2713" * 85)
    assert len(token) > 5000 and works(server, app, token)


def test_public_url_begins_the_link():
    with Server(settings={"public_url": "https://hooks.example.com/in/"}) as server:
        api = server.api()
        app = api.new_app()
        url = api.ok("POST", f"/auth/app-portal-access/{app['id']}", {})["url"]
        assert url.startswith("https://hooks.example.com/in/console/#app=app_")


@pytest.mark.parametrize(
    "value", ["hooks.example.com", "ftp://example.com", "https://example.com/?a=1", "https://a@b/"]
)
def test_a_public_url_that_is_none(value):
    server = Server(settings={"public_url": value})
    assert server.spawn().get(timeout=net(15)) is None
    assert server.wait() == 2 and "public_url" in server.log()
    server.close()


# ---- capabilities ----

READ = "ViewBase"
SECRET_VIEW = "ViewEndpointSecret"
SECRET_MANAGE = "ManageEndpointSecret"
TRANSFORM = "ManageTransformations"
ATTEMPT = "CreateAttempts"
MANAGE = "ManageEndpoint"

# Operation, body, and which capability (beside ViewBase) is enough for it.
OPERATIONS = [
    ("GET", "/app/{app}", None, {READ}),
    ("GET", "/event-type", None, {READ}),
    ("GET", "/app/{app}/endpoint", None, {READ}),
    ("GET", "/app/{app}/endpoint/{ep}", None, {READ}),
    ("GET", "/app/{app}/endpoint/{ep}/headers", None, {READ}),
    ("GET", "/app/{app}/msg", None, {READ}),
    ("GET", "/app/{app}/msg/{msg}", None, {READ}),
    ("GET", "/app/{app}/attempt/msg/{msg}", None, {READ}),
    ("GET", "/app/{app}/endpoint/{ep}/msg", None, {READ}),
    ("GET", "/app/{app}/endpoint/{ep}/secret", None, {SECRET_VIEW, SECRET_MANAGE, MANAGE}),
    ("POST", "/app/{app}/endpoint/{ep}/secret/rotate", {}, {SECRET_MANAGE, MANAGE}),
    ("PUT", "/app/{app}/endpoint/{ep}/headers", {"headers": {}}, {MANAGE}),
    ("PATCH", "/app/{app}/endpoint/{ep}/headers", {"headers": {}}, {MANAGE}),
    ("PATCH", "/app/{app}/endpoint/{ep}", {}, {MANAGE}),
    ("PUT", "/app/{app}/endpoint/{ep}", {"url": "http://127.0.0.1:9/"}, {MANAGE}),
    ("POST", "/app/{app}/endpoint", {"url": "http://127.0.0.1:9/"}, {MANAGE}),
    ("DELETE", "/app/{app}/endpoint/none", None, {MANAGE}),
    ("PATCH", "/app/{app}/endpoint/{ep}/transformation", {}, {TRANSFORM, MANAGE}),
    ("POST", "/app/{app}/msg/{msg}/endpoint/{ep}/resend", None, {ATTEMPT}),
    ("POST", "/app/{app}/endpoint/{ep}/recover", {"since": "2020-01-01T00:00:00Z"}, {ATTEMPT}),
    ("POST", "/app/{app}/endpoint/{ep}/replay-missing", {"since": "2020-01-01T00:00:00Z"}, {ATTEMPT}),
    ("POST", "/app/{app}/endpoint/{ep}/bulk-replay", {"since": "2020-01-01T00:00:00Z"}, {ATTEMPT}),
    ("POST", "/app/{app}/endpoint/{ep}/send-example", {"eventType": "none"}, {ATTEMPT}),
    ("PATCH", "/app/{app}", {"name": "x"}, set()),
    ("POST", "/app/{app}/msg", {"eventType": "x", "payload": {}}, set()),
]


@pytest.fixture(scope="module")
def place(server, api):
    """An application with an endpoint and a message, and a client for each single capability."""
    app = api.new_app()
    endpoint = api.new_endpoint(app, "http://127.0.0.1:9/", disabled=True)
    message = api.send(app)
    clients = {}
    for name in (READ, SECRET_VIEW, SECRET_MANAGE, TRANSFORM, ATTEMPT, MANAGE):
        token, _ = portal(api, app, capabilities=sorted({READ, name}))
        clients[name] = server.api(token)
    return {"app": app["id"], "ep": endpoint["id"], "msg": message["id"]}, clients


@pytest.mark.parametrize(
    "method, path, body, enough", OPERATIONS, ids=[f"{method} {path}" for method, path, _, _ in OPERATIONS]
)
def test_capabilities(place, method, path, body, enough):
    ids, clients = place
    for name, client in clients.items():
        response = client.request(method, path.format(**ids), body)
        if name in enough or READ in enough:
            assert response.status_code not in (401, 403), f"{name}: {response.status_code} {response.text}"
        else:
            is_error(response, 403, *FORBIDDEN)


def test_a_token_made_elsewhere(server, api, app):
    """Claims that this server would not give out: unknown names give nothing, the empty list allows nothing."""
    for given, status in (([], 403), (["Everything"], 403), (["ViewBase", "Everything"], 200), (None, 200)):
        claims = {} if given is None else {"capabilities": given}
        own = server.api(jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, **claims))
        assert own.get(f"/app/{app['id']}").status_code == status, given


# ---- logout ----


def test_logout(svix, options, server, api):
    app = svix.application.create(ApplicationIn(name="portal"))
    ended, other = (svix.authentication.app_portal_access(app.id, AppPortalAccessIn()).token for _ in range(2))
    own = Svix(ended, options)
    assert own.application.get(app.id).id == app.id
    assert own.authentication.logout() is None
    with pytest.raises(HttpError) as error:
        own.application.get(app.id)
    assert (error.value.status_code, error.value.code) == (401, "authentication_failed")
    is_error(server.api(ended).post("/auth/logout"), 401, *INVALID)
    assert works(server, {"id": app.id}, other), "only this token has ended"
    is_error(api.post("/auth/logout"), 403, *FORBIDDEN)
    server.restart()
    assert not works(server, {"id": app.id}, ended) and works(server, {"id": app.id}, other)


def test_logout_of_other_tokens_of_an_application(server, api, app):
    by_hand = jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, capabilities=[], without=["exp", "iat"])
    for token in (server.app_token(app["id"]), by_hand):
        response = server.api(token).post("/auth/logout")
        assert (response.status_code, response.content) == (204, b"")
        is_error(server.api(token).get(f"/app/{app['id']}"), 401, *INVALID)


def test_another_spelling_of_the_signature_does_not_bring_it_back(server, api, app):
    """The last character of a signature has bits that mean nothing; the token stays ended whatever they are."""
    token, _ = portal(api, app)
    assert server.api(token).post("/auth/logout").status_code == 204
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        assert not works(server, app, token[:-1] + letter)


# ---- expire-all ----


def test_expire_all(svix, options, server, api):
    app = svix.application.create(ApplicationIn(name="portal"))
    other = svix.application.create(ApplicationIn(name="neighbour"))
    tokens = [svix.authentication.app_portal_access(app.id, AppPortalAccessIn()).token for _ in range(3)]
    neighbour = svix.authentication.app_portal_access(other.id, AppPortalAccessIn()).token
    assert all(works(server, {"id": app.id}, token) for token in tokens)
    assert svix.authentication.expire_all(app.id, models.ApplicationTokenExpireIn()) is None
    young = svix.authentication.app_portal_access(app.id, AppPortalAccessIn()).token
    assert not any(works(server, {"id": app.id}, token) for token in tokens)
    assert works(server, {"id": app.id}, young) and works(server, {"id": other.id}, neighbour)
    assert svix.application.get(app.id).id == app.id, "the organisation's token is none of them"
    server.restart()
    assert not any(works(server, {"id": app.id}, token) for token in tokens)
    assert works(server, {"id": app.id}, young) and works(server, {"id": other.id}, neighbour)


def test_expire_all_is_exact(server, api, app):
    """Tokens made right before and right after it, without a pause: the millisecond does not matter."""
    for _ in range(20):
        before, _ = portal(api, app)
        assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204
        after, _ = portal(api, app)
        assert not works(server, app, before) and works(server, app, after)


def test_expire_all_ends_tokens_of_the_command_line(server, api, app):
    old = server.app_token(app["id"])
    assert works(server, app, old)
    assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204
    assert not works(server, app, old)
    assert works(server, app, server.app_token(app["id"]))


def test_expire_all_goes_by_the_time_of_issue_of_foreign_tokens(server, api, app):
    now = time.time()
    made = {at: jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, iat=round(now + at, 3)) for at in (-5, -0.001, 60)}
    without = jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, without=["iat"])
    assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204
    assert not works(server, app, made[-5]) and not works(server, app, made[-0.001])
    assert not works(server, app, without), "a token that does not say when it was issued is old"
    assert works(server, app, made[60])


def test_expire_all_of_sessions(svix, server, api):
    app = svix.application.create(ApplicationIn(name="portal"))

    def token(session_id=None):
        access = AppPortalAccessIn() if session_id is None else AppPortalAccessIn(session_id=session_id)
        return svix.authentication.app_portal_access(app.id, access).token

    tokens = {name: token(name) for name in ("one", "two", "three", None)}
    svix.authentication.expire_all(app.id, models.ApplicationTokenExpireIn(session_ids=["one", "three", "four"]))
    state = {name: works(server, {"id": app.id}, value) for name, value in tokens.items()}
    assert state == {"one": False, "two": True, "three": False, None: True}
    assert works(server, {"id": app.id}, token("one")), "a new token of the session lives"
    svix.authentication.expire_all(app.id, models.ApplicationTokenExpireIn(session_ids=[]))
    assert not any(works(server, {"id": app.id}, value) for value in tokens.values())


def test_a_session_ends_after_seven_days_whatever_its_token_says(server, app):
    def made(age_s, **claims):
        iat = time.time() - age_s
        return jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, iat=iat, nbf=iat, exp=iat + 10**8, **claims)

    assert works(server, app, made(8 * 86400))
    assert not works(server, app, made(8 * 86400, session_id="s"))
    assert works(server, app, made(6 * 86400, session_id="s"))


def test_expire_all_with_a_delay(server, api, app):
    old, _ = portal(api, app)
    before = datetime.now(timezone.utc)
    assert api.post(f"/auth/app/{app['id']}/expire-all", {"expiry": 1}).status_code == 204
    assert works(server, app, old) or (datetime.now(timezone.utc) - before).total_seconds() >= 1
    young, _ = portal(api, app)
    wait_for(lambda: not works(server, app, old), 10, "the old token to end")
    assert (datetime.now(timezone.utc) - before).total_seconds() >= 1
    assert works(server, app, young)


def test_too_many_delays(api, app):
    for _ in range(10):
        assert api.post(f"/auth/app/{app['id']}/expire-all", {"expiry": 259200}).status_code == 204
    # Asking for the same again is no new one as long as it takes effect no later.
    assert api.post(f"/auth/app/{app['id']}/expire-all", {"expiry": 100000}).status_code == 204
    for _ in range(9):
        assert api.post(f"/auth/app/{app['id']}/expire-all", {"expiry": 259200}).status_code == 204
    is_error(api.post(f"/auth/app/{app['id']}/expire-all", {"expiry": 259200}), 400, "limit_reached")
    assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204


@pytest.mark.parametrize(
    "body, loc",
    [
        ({"expiry": -1}, ("expiry",)),
        ({"expiry": 259201}, ("expiry",)),
        ({"expiry": 1.5}, ("expiry",)),
        ({"sessionIds": "one"}, ("sessionIds",)),
        ({"sessionIds": ["one", ""]}, ("sessionIds", "[1]")),
        ({"sessionIds": ["s" * 257]}, ("sessionIds", "[0]")),
        ({"sessionIds": ["s"] * 101}, ("sessionIds",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value)[:40],
)
def test_what_expire_all_refuses(api, app, body, loc):
    is_invalid(api.post(f"/auth/app/{app['id']}/expire-all", body), "body", *loc)


def test_who_may_call_them(server, api, options, app):
    own = server.api(portal(api, app)[0])
    for path in (f"/auth/app-portal-access/{app['id']}", f"/auth/dashboard-access/{app['id']}"):
        is_error(own.post(path, {}), 403, *FORBIDDEN)
    is_error(own.post(f"/auth/app/{app['id']}/expire-all", {}), 403, *FORBIDDEN)
    is_error(api.post(f"/auth/app/{unique('none')}/expire-all", {}), 404, "not_found")
    stranger = server.api(server.jwt("org_" + "0" * 26 + "P"))
    is_error(stranger.post(f"/auth/app/{app['id']}/expire-all", {}), 404, "not_found")
    is_error(stranger.post(f"/auth/app-portal-access/{app['id']}", {}), 404, "not_found")
    with pytest.raises(HTTPValidationError):
        Svix(server.org_token, options).authentication.app_portal_access(app["id"], AppPortalAccessIn(expiry=1))


def test_tokens_stay_out_of_the_log(server, api, app):
    token, _ = portal(api, app, sessionId="secret-session")
    server.api(token).post("/auth/logout")
    is_error(server.api(token).get(f"/app/{app['id']}"), 401, *INVALID)
    assert token not in server.log() and token.split(".")[2] not in server.log()


def test_under_load_no_ended_token_passes(server, api, app):
    """Many clients use a token while it is ended: after the answer of expire-all none of them gets through."""
    token, _ = portal(api, app)
    done = threading.Event()
    ended_at, passed_at = [], []

    def use():
        client = server.api(token)
        while not done.is_set():
            began = time.monotonic()
            if client.get(f"/app/{app['id']}").status_code == 200:
                passed_at.append(began)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(passed_at) > 20, 20, "the token to be used")
    assert api.post(f"/auth/app/{app['id']}/expire-all", {}).status_code == 204
    ended_at.append(time.monotonic())
    refused = server.api(token)
    for _ in range(50):
        is_error(refused.get(f"/app/{app['id']}"), 401, *INVALID)
    done.set()
    for thread in threads:
        thread.join()
    assert max(passed_at) <= ended_at[0]
