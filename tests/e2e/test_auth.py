# SPDX-License-Identifier: Apache-2.0
"""Tokens: who may do what, and the exact answers to those who may not."""

import hashlib
import re
import time

import pytest
from harness import jwt
from harness.api import is_error, unique
from harness.server import Server

SECRET = "a secret that only this module knows"
DEFAULT_ORG = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
FORBIDDEN = ("insufficient access", "Insufficient access for the given operation.")


@pytest.fixture(scope="module")
def server():
    with Server(env={"POSTHORN_JWT_SECRET": SECRET}) as running:
        yield running


def bearer(value):
    return {"Authorization": value}


@pytest.mark.smoke
def test_the_generated_organisation_token(server):
    done = server.run("jwt", "generate")
    assert re.fullmatch(r"Token \(Bearer\): \S+\n", done.stdout)
    token = server.jwt()
    claims = jwt.claims(token)
    assert jwt.header(token)["alg"] == "HS256"
    assert claims["sub"] == DEFAULT_ORG
    assert "org" not in claims
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["nbf"] <= claims["iat"]
    assert claims["exp"] - claims["iat"] == pytest.approx(10 * 365.25 * 86400, abs=4 * 86400)


def test_a_token_for_a_named_organisation(server):
    name = "org_" + "0" * 26 + "A"
    assert jwt.claims(server.jwt(name))["sub"] == name
    done = server.run("jwt", "generate", "user_123", check=False)
    assert done.returncode == 2 and done.stdout == "" and "user_123" in done.stderr


@pytest.mark.smoke
def test_the_secret_made_at_the_first_start_is_used():
    """Without jwt_secret the data directory holds one, which survives a restart."""
    with Server() as server:
        assert server.api().get("/app").status_code == 200
        server.restart()
        assert server.api().get("/app").status_code == 200
        foreign = jwt.make(SECRET, sub=DEFAULT_ORG)
        is_error(server.api(foreign).get("/app"), 401, "authentication_failed", "Invalid token")


@pytest.mark.smoke
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("Bearer"),
        bearer("Bearer x"),
        bearer("Bearer a.b.c"),
        bearer("Bearer ..."),
        bearer("Basic dXNlcjpwYXNz"),
        bearer("Bearer " + "A" * 4000),
        bearer(jwt.make(SECRET, sub=DEFAULT_ORG)),  # without the scheme
    ],
    ids=["none", "empty", "scheme", "word", "dots", "only-dots", "basic", "long", "no-scheme"],
)
def test_missing_and_malformed_headers(server, headers):
    response = server.api("").get("/app", headers=headers)
    is_error(response, 401, "authentication_failed", "Invalid token")


NOW = int(time.time())
BAD_TOKENS = {
    "foreign signature": jwt.make("another secret", sub=DEFAULT_ORG),
    "no signature": jwt.make(SECRET, digest=None, sub=DEFAULT_ORG),
    "alg none": jwt.make(SECRET, "none", None, sub=DEFAULT_ORG),
    "alg None": jwt.make(SECRET, "None", sub=DEFAULT_ORG),
    "HS384": jwt.make(SECRET, "HS384", hashlib.sha384, sub=DEFAULT_ORG),
    "HS512": jwt.make(SECRET, "HS512", hashlib.sha512, sub=DEFAULT_ORG),
    "RS256 with the shared secret": jwt.make(SECRET, "RS256", sub=DEFAULT_ORG),
    "expired": jwt.make(SECRET, sub=DEFAULT_ORG, iat=NOW - 9000, nbf=NOW - 9000, exp=NOW - 3600),
    "not yet": jwt.make(SECRET, sub=DEFAULT_ORG, nbf=NOW + 3600, exp=NOW + 7200),
    "exp is a word": jwt.make(SECRET, sub=DEFAULT_ORG, exp="tomorrow"),
    "changed": jwt.make(SECRET, sub=DEFAULT_ORG)[:-3] + "AAA",
}


@pytest.mark.smoke
@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_bad_tokens(server, token):
    is_error(server.api(token).get("/app"), 401, "authentication_failed", "Invalid token")


def test_the_signing_secret_is_not_a_token():
    with Server(settings={"jwt_secret": "shared-secret-word"}) as other:
        body = is_error(other.api("shared-secret-word").get("/app"), 401, "authentication_failed")
        assert body["detail"] != "Invalid token" and "secret" in body["detail"].lower()
        assert "shared-secret-word" not in body["detail"]
        assert "shared-secret-word" not in other.log()


def test_claims_with_wrong_content(server):
    no_sub = jwt.make(SECRET, org=DEFAULT_ORG)
    is_error(server.api(no_sub).get("/app"), 401, "authentication_failed", "Invalid token (missing `sub`).")
    for subject in ("user_23rb8YdGqMT0qIzpgGwdXfHirMu", "app_23rb8YdGqMT0qIzpgGwdXfHirMu", ""):
        is_error(server.api(jwt.make(SECRET, sub=subject)).get("/app"), 400, "bad_token")
    app_id = "app_23rb8YdGqMT0qIzpgGwdXfHirMu"
    is_error(server.api(jwt.make(SECRET, sub="ep_1", org=DEFAULT_ORG)).get("/event-type"), 400, "bad token")
    is_error(server.api(jwt.make(SECRET, sub=app_id, org="team_1")).get("/event-type"), 400, "bad token")


def test_the_issuer_does_not_matter(server):
    assert server.api(jwt.make(SECRET, sub=DEFAULT_ORG, iss="anybody")).get("/app").status_code == 200
    assert server.api(jwt.make(SECRET, sub=DEFAULT_ORG, without=["iss", "iat", "nbf"])).get("/app").status_code == 200


@pytest.mark.smoke
def test_organisations_do_not_see_each_other(server, api):
    app = api.new_app(uid=unique("shared"))
    other = server.api(server.jwt("org_" + "0" * 26 + "B"))
    for path in (f"/app/{app['id']}", f"/app/{app['uid']}", f"/app/{app['id']}/msg", f"/app/{app['id']}/endpoint"):
        is_error(other.get(path), 404, "not_found")
    assert app["id"] not in [row["id"] for row in other.ok("GET", "/app", params={"limit": 250})["data"]]
    # The uid is free there: uniqueness ends at the organisation.
    assert other.new_app(uid=app["uid"])["id"] != app["id"]


ORGANISATION_ONLY = [
    ("GET", "/app", None),
    ("POST", "/app", {"name": "x"}),
    ("PUT", "/app/{app}", {"name": "x"}),
    ("PATCH", "/app/{app}", {"name": "x"}),
    ("DELETE", "/app/{app}", None),
    ("POST", "/event-type", {"name": "x", "description": "x"}),
    ("PUT", "/event-type/x", {"description": "x"}),
    ("PATCH", "/event-type/x", {"description": "x"}),
    ("DELETE", "/event-type/x", None),
    ("POST", "/app/{app}/msg", {"eventType": "x", "payload": {}}),
]


@pytest.mark.smoke
@pytest.mark.parametrize("method, path, body", ORGANISATION_ONLY, ids=[f"{m} {p}" for m, p, _ in ORGANISATION_ONLY])
def test_an_application_token_may_not(server, api, method, path, body):
    app = api.new_app()
    own = server.api(server.app_token(app["id"]))
    is_error(own.request(method, path.format(app=app["id"]), body), 403, *FORBIDDEN)
    assert api.get(f"/app/{app['id']}").status_code == 200


@pytest.mark.smoke
def test_an_application_token_may(server, api, receiver, path):
    app = api.new_app(uid=unique("own"))
    own = server.api(server.app_token(app["id"]))
    claims = jwt.claims(own.token)
    assert claims["sub"] == app["id"] and claims["org"] == DEFAULT_ORG
    for name in (app["id"], app["uid"]):
        assert own.ok("GET", f"/app/{name}")["id"] == app["id"]
    endpoint = own.new_endpoint(app, receiver.url(path))
    root = f"/app/{app['id']}/endpoint/{endpoint['id']}"
    own.ok("GET", f"/app/{app['id']}/endpoint")
    own.ok("GET", root)
    own.ok("PATCH", root, {"description": "mine"})
    own.ok("PUT", root, {"url": receiver.url(path)})
    assert own.secret(app, endpoint).startswith("whsec_")
    assert own.post(f"{root}/secret/rotate", {}).status_code in (200, 204)
    own.ok("PUT", f"{root}/headers", {"headers": {"X-A": "1"}}, 204)
    own.ok("PATCH", f"{root}/headers", {"headers": {"X-B": "2"}}, 204)
    own.ok("GET", f"{root}/headers")
    message = api.send(app)
    attempt = own.wait_attempts(app, message)[0]
    own.ok("GET", f"/app/{app['id']}/msg")
    own.ok("GET", f"/app/{app['id']}/msg/{message['id']}")
    own.ok("GET", f"/app/{app['id']}/msg/{message['id']}/endpoint")
    own.ok("GET", f"/app/{app['id']}/msg/{message['id']}/attempt/{attempt['id']}")
    own.ok("GET", f"/app/{app['id']}/attempt/endpoint/{endpoint['id']}")
    own.ok("GET", f"{root}/msg")
    own.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", None, 202)
    own.ok("GET", "/event-type")
    own.ok("DELETE", root, None, 204)


@pytest.mark.smoke
def test_an_application_token_does_not_see_other_applications(server, api, receiver, path):
    mine, other = api.new_app(), api.new_app()
    endpoint = api.new_endpoint(other, receiver.url(path))
    message = api.send(other)
    own = server.api(server.app_token(mine["id"]))
    root = f"/app/{other['id']}"
    for target in (
        root,
        f"{root}/endpoint",
        f"{root}/endpoint/{endpoint['id']}",
        f"{root}/endpoint/{endpoint['id']}/secret",
        f"{root}/msg",
        f"{root}/msg/{message['id']}",
        f"{root}/attempt/msg/{message['id']}",
        f"/app/{mine['id']}/endpoint/{endpoint['id']}",
        f"/app/{mine['id']}/msg/{message['id']}",
        f"/app/{mine['id']}/attempt/msg/{message['id']}",
        f"/app/{mine['id']}/attempt/endpoint/{endpoint['id']}",
    ):
        is_error(own.get(target), 404, "not_found")
    is_error(own.post(f"{root}/endpoint", {"url": receiver.url(path)}), 404, "not_found")


def test_event_types_behind_a_feature_flag(server, api):
    app = api.new_app()
    open_type = api.new_event_type()["name"]
    beta_type = api.new_event_type(featureFlag="beta")["name"]

    def names(**claims):
        client = server.api(jwt.make(SECRET, sub=app["id"], org=DEFAULT_ORG, **claims))
        listed = {row["name"] for row in client.ok("GET", "/event-type", params={"limit": 250})["data"]}
        got = {name for name in (open_type, beta_type) if client.get(f"/event-type/{name}").status_code == 200}
        assert got == listed & {open_type, beta_type}
        return got

    assert names() == {open_type}
    assert names(feature_flags=["gamma"]) == {open_type}
    assert names(feature_flags=["gamma", "beta"]) == {open_type, beta_type}
    everything = {row["name"] for row in api.ok("GET", "/event-type", params={"limit": 250})["data"]}
    assert {open_type, beta_type} <= everything


def test_tokens_of_the_command_line(server, api):
    admin = server.run("token", "create", "--surface", "native").stdout
    assert re.fullmatch(r"\S+\n", admin)
    app = server.api(admin.strip()).new_app()
    assert api.get(f"/app/{app['id']}").status_code == 200, "the admin token acts in the default organisation"
    done = server.run("token", "create", "--surface", "native", "--app", "app_doesnotexist", check=False)
    assert done.returncode == 1 and done.stdout == ""


@pytest.mark.smoke
def test_health_needs_no_token(server):
    nobody = server.api("")
    for method in ("GET", "HEAD"):
        response = nobody.request(method, "/health/ping")
        assert response.status_code == 204 and response.content == b""
    answer = nobody.ok("GET", "/health")
    assert answer == {"database": {"status": "ok"}, "queue": {"status": "ok"}, "cache": {"status": "ok"}}
    head = nobody.request("HEAD", "/health")
    assert head.status_code == 200 and head.content == b""
