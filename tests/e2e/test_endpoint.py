# SPDX-License-Identifier: Apache-2.0
"""Endpoints: the resource, its secret, its rotation and its headers. What they do on the wire is in test_delivery."""

import base64

import pytest
from harness import signatures
from harness.api import DATE, EP_ID, is_error, is_invalid, unique

pytestmark = pytest.mark.smoke

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def root(app):
    return f"/app/{app['id']}/endpoint"


def make(api, root, **fields):
    return api.ok("POST", root, {"url": URL, **fields}, 201)


def test_create_with_the_least(api, root):
    endpoint = api.ok("POST", root, {"url": URL}, 201)
    assert EP_ID.match(endpoint["id"])
    assert DATE.match(endpoint["createdAt"]) and DATE.match(endpoint["updatedAt"])
    expected = {
        "url": URL,
        "description": "",
        "version": 1,
        "disabled": False,
        "metadata": {},
        # Everything that may be null is there as null.
        "uid": None,
        "rateLimit": None,
        "throttleRate": None,
        "eventTypes": None,
        "filterTypes": None,
        "channels": None,
    }
    assert {key: endpoint.get(key, "absent") for key in expected} == expected


def test_create_with_everything(api, root):
    kinds = [api.new_event_type()["name"] for _ in range(2)]
    secret = signatures.new_symmetric()
    body = {
        "url": "https://Example.com/a?b=c",
        "description": "d",
        "uid": unique("uid"),
        "throttleRate": 10,
        "version": 7,
        "disabled": True,
        "eventTypes": kinds,
        "channels": ["one", "two"],
        "secret": secret,
        "metadata": {"k": "v"},
    }
    endpoint = api.ok("POST", root, body, 201)
    assert endpoint["url"] == "https://example.com/a?b=c"
    for key in ("description", "uid", "throttleRate", "version", "disabled", "metadata"):
        assert endpoint[key] == body[key], key
    assert endpoint["rateLimit"] == 10
    assert sorted(endpoint["eventTypes"]) == sorted(kinds) == sorted(endpoint["filterTypes"])
    assert sorted(endpoint["channels"]) == ["one", "two"]
    assert "secret" not in endpoint
    assert api.ok("GET", f"{root}/{body['uid']}") == endpoint == api.ok("GET", f"{root}/{endpoint['id']}")
    assert api.ok("GET", f"{root}/{endpoint['id']}/secret") == {"key": secret}


@pytest.mark.parametrize(
    "given, kept",
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.COM:80/A", "http://example.com/A"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:8443/x y", "https://example.com:8443/x%20y"),
        ("http://example.com/a/../b", "http://example.com/b"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
    ],
)
def test_a_url_is_normalised(api, root, given, kept):
    assert api.ok("POST", root, {"url": given}, 201)["url"] == kept


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "/hook", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "http://", "http://a b/"],
)
def test_a_url_that_is_refused(api, root, url):
    is_invalid(api.post(root, {"url": url}), "body", "url")


WRONG_SHAPES = [
    {},
    {"url": None},
    {"url": 5},
    {"url": URL, "disabled": "no"},
    {"url": URL, "channels": "a"},
    {"url": URL, "eventTypes": [1]},
    {"url": URL, "throttleRate": 65536},
    {"url": URL, "metadata": {"a": None}},
]


@pytest.mark.parametrize("body", WRONG_SHAPES)
def test_wrong_shapes(api, root, body):
    is_invalid(api.post(root, body), "body", kind="value_error.jsondecode")


WRONG_VALUES = {
    "uid like an id": ({"uid": "ep_x"}, "uid"),
    "uid with a space": ({"uid": "a b"}, "uid"),
    "throttleRate 0": ({"throttleRate": 0}, "throttleRate"),
    "version 0": ({"version": 0}, "version"),
    "no channels": ({"channels": []}, "channels"),
    "too many channels": ({"channels": [f"c{n}" for n in range(11)]}, "channels"),
    "no event types": ({"eventTypes": []}, "eventTypes"),
    "secret without prefix": ({"secret": "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}, "secret"),
    "secret too short": ({"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()}, "secret"),
    "secret too long": ({"secret": "whsec_" + base64.b64encode(b"x" * 76).decode()}, "secret"),
    "secret not base64": ({"secret": "whsec_****************************"}, "secret"),
    "private key too short": ({"secret": "whsk_" + base64.b64encode(b"x" * 32).decode()}, "secret"),
    "private key that does not fit": ({"secret": "whsk_" + base64.b64encode(b"x" * 64).decode()}, "secret"),
    "foreign prefix": ({"secret": "whpk_" + base64.b64encode(b"x" * 32).decode()}, "secret"),
    "metadata too big": ({"metadata": {"k": "v" * 4096}}, "metadata"),
}


@pytest.mark.parametrize("fields, field", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_wrong_values(api, root, fields, field):
    is_invalid(api.post(root, {"url": URL, **fields}), "body", field)


def test_event_types_must_exist(api, root):
    known, archived = api.new_event_type()["name"], api.new_event_type()["name"]
    api.ok("DELETE", f"/event-type/{archived}", None, 204)
    body = {"url": URL, "eventTypes": [known, "nobody.b", archived]}
    item = is_invalid(api.post(root, body), "body", "eventTypes")
    prefix = "The following event types don't exist: "
    assert item["loc"] == ["body", "eventTypes"] and item["msg"].startswith(prefix)
    assert sorted(item["msg"].removeprefix(prefix).split(", ")) == sorted(["nobody.b", archived])


def test_filter_types_is_the_old_name(api, root):
    kind = api.new_event_type()["name"]
    endpoint = make(api, root, filterTypes=[kind])
    assert endpoint["eventTypes"] == [kind] == endpoint["filterTypes"]
    both = make(api, root, eventTypes=[kind], filterTypes=["nobody.asks"])
    assert both["eventTypes"] == [kind]
    is_invalid(api.post(root, {"url": URL, "eventTypes": [kind], "filterTypes": []}), "body", "eventTypes")


def test_a_uid_is_unique_in_its_application(api, root):
    uid = unique("uid")
    make(api, root, uid=uid)
    is_error(api.post(root, {"url": URL, "uid": uid}), 409, "conflict")
    other = api.new_app()
    assert make(api, f"/app/{other['id']}/endpoint", uid=uid)["uid"] == uid


def test_applications_keep_their_endpoints_apart(api, root):
    endpoint = make(api, root)
    other = f"/app/{api.new_app()['id']}/endpoint"
    for end in ("", "/secret", "/headers"):
        is_error(api.get(f"{other}/{endpoint['id']}{end}"), 404, "not_found")
    is_error(api.delete(f"{other}/{endpoint['id']}"), 404, "not_found")
    is_error(api.post("/app/nobody/endpoint", {"url": URL}), 404, "not_found")


def test_put_replaces_all_but_the_secret(api, root):
    kind = api.new_event_type()["name"]
    endpoint = make(api, root, uid=unique("u"), channels=["a"], eventTypes=[kind], metadata={"a": "1"}, description="d")
    secret = api.ok("GET", f"{root}/{endpoint['id']}/secret")
    put = api.ok("PUT", f"{root}/{endpoint['uid']}", {"url": URL + "2"})
    assert put["id"] == endpoint["id"] and put["url"] == URL + "2" and put["createdAt"] == endpoint["createdAt"]
    for key in ("uid", "channels", "eventTypes", "throttleRate"):
        assert put[key] is None, key
    assert put["metadata"] == {} and put["description"] == "" and put["disabled"] is False
    assert api.ok("GET", f"{root}/{endpoint['id']}/secret") == secret


def test_put_creates_with_a_generated_secret(api, root):
    uid = unique("made")
    made = api.ok("PUT", f"{root}/not-there", {"url": URL, "uid": uid}, 201)
    assert made["uid"] == uid
    key = api.ok("GET", f"{root}/{uid}/secret")["key"]
    assert len(base64.b64decode(key.removeprefix("whsec_"), validate=True)) == 24


def test_patch_changes_what_it_names(api, root):
    kind = api.new_event_type()["name"]
    endpoint = make(api, root, uid=unique("u"), channels=["a"], eventTypes=[kind], throttleRate=5)
    path = f"{root}/{endpoint['id']}"
    got = api.ok("PATCH", path, {"disabled": True, "description": "new"})
    assert got == {**endpoint, "disabled": True, "description": "new", "updatedAt": got["updatedAt"]}
    assert got["updatedAt"] > endpoint["updatedAt"]
    cleared = api.ok("PATCH", path, {"uid": None, "channels": None, "eventTypes": None, "throttleRate": None})
    for key in ("uid", "channels", "eventTypes", "filterTypes", "throttleRate", "rateLimit"):
        assert cleared[key] is None, key
    is_invalid(api.patch(path, {"url": None}), "body")
    is_invalid(api.patch(path, {"url": "nonsense"}), "body", "url")
    is_invalid(api.patch(path, {"eventTypes": ["nobody"]}), "body", "eventTypes")
    assert api.ok("GET", path) == cleared
    is_error(api.patch(f"{root}/nobody", {}), 404, "not_found")


def test_delete_frees_the_uid(api, root):
    endpoint = make(api, root, uid=unique("gone"))
    response = api.delete(f"{root}/{endpoint['uid']}")
    assert response.status_code == 204 and response.content == b""
    for name in (endpoint["id"], endpoint["uid"]):
        is_error(api.get(f"{root}/{name}"), 404, "not_found")
    assert api.ok("GET", root)["data"] == []
    assert make(api, root, uid=endpoint["uid"])["id"] != endpoint["id"]


# ---- secrets ----


def test_generated_secrets_differ(api, root):
    keys = {api.ok("GET", f"{root}/{make(api, root)['id']}/secret")["key"] for _ in range(3)}
    assert len(keys) == 3
    for key in keys:
        assert key.startswith("whsec_") and len(base64.b64decode(key[6:], validate=True)) == 24


@pytest.mark.parametrize("length", [24, 32, 75])
def test_given_secrets_are_kept(api, root, length):
    secret = signatures.new_symmetric(length)
    endpoint = make(api, root, secret=secret)
    assert api.ok("GET", f"{root}/{endpoint['id']}/secret") == {"key": secret}


def test_an_asymmetric_secret_shows_its_public_half(api, root):
    secret, public = signatures.new_asymmetric()
    endpoint = make(api, root, secret=secret)
    response = api.get(f"{root}/{endpoint['id']}/secret")
    assert response.json() == {"key": public}
    assert secret not in response.text


def rotated(response):
    """204 of the older clients' specification, or 200 with the new key of the newer clients'; both read either."""
    assert response.status_code in (200, 204), f"{response.status_code} {response.text}"
    if response.status_code == 200:
        assert set(response.json()) == {"key"}
    else:
        assert response.content == b""


def test_rotate(api, root):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/secret"
    first = api.ok("GET", path)["key"]
    rotated(api.post(f"{path}/rotate", {}))
    second = api.ok("GET", path)["key"]
    assert second != first and second.startswith("whsec_")
    given = signatures.new_symmetric(40, b"g")
    rotated(api.post(f"{path}/rotate", {"key": given, "gracePeriodSeconds": 0}))
    assert api.ok("GET", path)["key"] == given
    secret, public = signatures.new_asymmetric(9)
    rotated(api.post(f"{path}/rotate", {"key": secret, "gracePeriodSeconds": 604800}))
    assert api.ok("GET", path)["key"] == public
    rotated(api.post(f"{path}/rotate", {"key": None}))
    assert api.ok("GET", path)["key"].startswith("whsec_")


@pytest.mark.parametrize(
    "body, field",
    [
        ({"gracePeriodSeconds": -1}, None),
        ({"gracePeriodSeconds": 604801}, "gracePeriodSeconds"),
        ({"gracePeriodSeconds": "1"}, None),
        ({"key": "whsec_short"}, "key"),
        ({"key": "nonsense"}, "key"),
    ],
)
def test_rotate_with_a_wrong_body(api, root, body, field):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/secret"
    before = api.ok("GET", path)
    is_invalid(api.post(f"{path}/rotate", body), "body", *([field] if field else []))
    assert api.ok("GET", path) == before


def test_at_most_ten_old_secrets(api, root):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/secret"
    for _ in range(10):
        rotated(api.post(f"{path}/rotate", {}))
    last = api.ok("GET", path)
    is_error(api.post(f"{path}/rotate", {}), 400, "limit_reached")
    assert api.ok("GET", path) == last


def test_secret_of_nobody(api, root):
    is_error(api.get(f"{root}/nobody/secret"), 404, "not_found")
    is_error(api.post(f"{root}/nobody/secret/rotate", {}), 404, "not_found")


# ---- headers ----


def test_headers(api, root):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/headers"
    assert api.ok("GET", path) == {"headers": {}, "sensitive": []}
    response = api.put(path, {"headers": {"X-Case-Kept": "1", "x-lower": "2"}})
    assert response.status_code == 204 and response.content == b""
    assert api.ok("GET", path) == {"headers": {"X-Case-Kept": "1", "x-lower": "2"}, "sensitive": []}
    api.ok("PATCH", path, {"headers": {"x-lower": None, "X-New": "3"}}, 204)
    assert api.ok("GET", path)["headers"] == {"X-Case-Kept": "1", "X-New": "3"}
    api.ok("PATCH", path, {"headers": {"X-More": "4"}, "deleteHeaders": ["X-New"]}, 204)
    assert api.ok("GET", path)["headers"] == {"X-Case-Kept": "1", "X-More": "4"}
    api.ok("PUT", path, {"headers": {"X-Only": "5"}}, 204)
    assert api.ok("GET", path)["headers"] == {"X-Only": "5"}
    api.ok("PUT", path, {"headers": {}}, 204)
    assert api.ok("GET", path)["headers"] == {}


def test_sensitive_headers_are_named_only(api, root):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/headers"
    secret = "hush-hush"
    names = "Authorization X-Auth-Token X-Api-Key WWW-Authenticate Cookie X-Client-Secret DB_PASSWORD".split()
    shown = {"X-Open": "1", "Idempotency-Key": "2"}
    api.ok("PUT", path, {"headers": {**{name: secret for name in names}, **shown}}, 204)
    response = api.get(path)
    assert response.json()["headers"] == shown
    assert sorted(name.lower() for name in response.json()["sensitive"]) == sorted(name.lower() for name in names)
    assert secret not in response.text


FORBIDDEN_NAMES = (
    "host connection proxy-connection trailer expect http2-settings "
    "user-agent keep-alive proxy-authenticate proxy-authorization te trailers transfer-encoding upgrade age "
    "cache-control "
    "clear-site-data expires pragma warning content-length content-type content-encoding content-language "
    "content-location x-amz-date x-amzn-trace-id x-google-x x-goog-x x-gfe-x x-azure-ref x-fd-healthprobe x-svix-id "
    "svix-id"
).split()


@pytest.mark.parametrize("name", FORBIDDEN_NAMES)
def test_forbidden_header_names(api, root, name):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/headers"
    for spelling in (name, name.title()):
        is_invalid(api.put(path, {"headers": {spelling: "x"}}), "body")
        is_invalid(api.patch(path, {"headers": {spelling: "x"}}), "body")
    assert api.ok("GET", path)["headers"] == {}


@pytest.mark.parametrize(
    "name, value",
    [
        ("", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("ä", "x"),
        ("a\r\nb", "x"),
        ("x-a", "line\r\nX-Injected: 1"),
        ("x-a", "line\nfeed"),
        ("x-a", "nul\u0000"),
        ("x-a", "v" * 4097),
    ],
)
def test_header_names_and_values_that_are_refused(api, root, name, value):
    endpoint = make(api, root)
    is_invalid(api.put(f"{root}/{endpoint['id']}/headers", {"headers": {name: value}}), "body")


def test_the_longest_header_value(api, root):
    endpoint = make(api, root)
    path = f"{root}/{endpoint['id']}/headers"
    api.ok("PUT", path, {"headers": {"x-long": "v" * 4096}}, 204)
    assert api.ok("GET", path)["headers"] == {"x-long": "v" * 4096}


@pytest.mark.parametrize("body", [{}, {"headers": None}, {"headers": []}, {"headers": {"x-a": 1}}])
def test_headers_with_a_wrong_shape(api, root, body):
    endpoint = make(api, root)
    is_invalid(api.put(f"{root}/{endpoint['id']}/headers", body), "body", kind="value_error.jsondecode")


def test_headers_of_nobody(api, root):
    is_error(api.get(f"{root}/nobody/headers"), 404, "not_found")
    is_error(api.put(f"{root}/nobody/headers", {"headers": {}}), 404, "not_found")
    is_error(api.patch(f"{root}/nobody/headers", {"headers": {}}), 404, "not_found")


def test_headers_have_a_limit(api, root):
    """Every message of the application is matched with its endpoints' headers in memory."""
    hundred = {f"x-{number}": "v" for number in range(100)}
    is_invalid(api.post(root, {"url": URL, "headers": {**hundred, "y": "v"}}), "body", "headers")
    endpoint = make(api, root, headers=hundred)
    path = f"{root}/{endpoint['id']}/headers"
    is_invalid(api.patch(path, {"headers": {"y": "v"}}), "body", "headers")
    api.ok("PATCH", path, {"headers": {"y": "v", "x-0": None}}, 204)
    wide = {f"x-{number}": "v" * 4000 for number in range(20)}
    is_invalid(api.put(path, {"headers": wide}), "body", "headers")
    assert len(api.ok("GET", path)["headers"]) == 100
