# SPDX-License-Identifier: Apache-2.0
"""Users of the magpie surface: every call, its rules, and what is told of it."""

import concurrent.futures
import json

import pytest
from harness.magpie import UUID, Magpie, fresh, is_error, make_token


@pytest.fixture(scope="module")
def magpie(server):
    return Magpie(server, make_token(server, "root"))


@pytest.fixture(scope="module")
def plain(server, magpie):
    """The client of somebody who is no administrator."""
    name = magpie.user()["user_name"]
    client = Magpie(server, make_token(server, name))
    client.name = name
    return client


# ---- create ----


def test_create(magpie):
    told = magpie.told()
    name, group = fresh(), magpie.group()["group_name"]
    body = {"user_name": name, "email": f"{name}@example.org", "password": "correct horse battery", "group_name": group}
    user = magpie.ok("POST", "/users", body, 201)["user"]
    assert user == {
        "user_name": name, "email": f"{name}@example.org", "status": "OK", "group_names": sorted(["anonymous", group]),
        "has_pending_group": False, "user_id": user["user_id"],
    }
    assert magpie.ok("GET", f"/users/{name}")["user"] == user
    ((action, params),) = told()
    url = params.pop("callback_url")
    assert (action, params) == (
        "create_user", {"user.name": name, "user.id": user["user_id"], "user.email": user["email"]}
    )
    base, token = url.rsplit("/tmp/", 1)
    assert base == magpie.base and UUID.match(token)


def test_create_without_password_or_group(magpie):
    for extra in ({}, {"password": None}, {"group_name": None}, {"group_name": "anonymous"}):
        assert magpie.user(**extra)["group_names"] == ["anonymous"]


def test_create_from_a_form(magpie):
    name = fresh()
    form = {"user_name": name, "email": f"{name}+ü&=@example.org"}
    user = magpie.ok("POST", "/users", form=form, status=201)["user"]
    assert user["email"] == f"{name}+ü&=@example.org"


GOOD_NAMES = ["a", "a1", "a.b", "a-b_c.d", "0", "x" * 64]
BAD_NAMES = ["", "A", "aB", "-a", "a-", "a--b", "a b", "ü", "a/b", "x" * 65, "a.", "a\u0000", "current", "admin", None,
             7, []]


def test_names(magpie):
    for word in GOOD_NAMES:
        magpie.user(word)
        magpie.ok("DELETE", f"/users/{word}")
    told = magpie.told()
    for word in BAD_NAMES:
        magpie.fails("POST", "/users", {"user_name": word, "email": "x@example.org"}, 400, "user_name")
    magpie.fails("POST", "/users", {"email": "x@example.org"}, 400, "user_name")
    assert told() == []


@pytest.mark.parametrize("email", ["", "x", "@x", "x@", "a@b@c", "a b@c", "a\n@c", "x" * 250 + "@abcd", None, 1])
def test_bad_email(magpie, email):
    magpie.fails("POST", "/users", {"user_name": fresh(), "email": email}, 400, "email")


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "ü" * 11, "x" * 1025, 12, {}])
def test_bad_password(magpie, password):
    body = {"user_name": fresh(), "email": f"{fresh()}@example.org", "password": password}
    magpie.fails("POST", "/users", body, 400, "password")


@pytest.mark.parametrize("content", [b"{", b"[]", b'"x"', b"\xff", b"{}x", b"null"])
def test_bad_body(magpie, content):
    magpie.fails("POST", "/users", content=content, status=400)
    assert magpie.request("POST", "/users", content=content[:0]).status_code == 400


def test_bad_form(magpie):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    for content in (b"user_name=%zz", b"user_name=%ff", b"user_name=a%00b", b"a&" * 100):
        magpie.fails("POST", "/users", content=content, headers=headers, status=400)


def test_taken(magpie):
    user = magpie.user()
    told = magpie.told()
    magpie.fails("POST", "/users", {"user_name": user["user_name"], "email": "other@x"}, 409, "user_name")
    magpie.fails("POST", "/users", {"user_name": fresh(), "email": user["email"]}, 409, "email")
    magpie.fails("POST", "/users", {"user_name": "anonymous", "email": "other@x"}, 409, "user_name")
    magpie.fails("POST", "/users", {"user_name": fresh(), "email": "o@x", "group_name": "no-such"}, 404, "group_name")
    assert told() == []


def test_two_at_once(magpie):
    """One of two creates of a name wins, again and again."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            name = fresh()
            told = magpie.told()
            bodies = [{"user_name": name, "email": f"{name}.{n}@example.org"} for n in range(8)]
            codes = list(pool.map(lambda body: magpie.request("POST", "/users", body).status_code, bodies))
            assert sorted(codes) == [201] + [409] * 7
            assert [action for action, _ in told()] == ["create_user"]


def test_ids_are_never_used_again(magpie):
    first = magpie.user()
    magpie.ok("DELETE", f"/users/{first['user_name']}")
    assert magpie.user(first["user_name"])["user_id"] > first["user_id"]


# ---- list ----


def test_lists(magpie):
    one, two = sorted([magpie.user()["user_name"], magpie.user()["user_name"]])
    magpie.ok("PATCH", f"/users/{two}", {"status": "WebhookError"})
    names = magpie.ok("GET", "/users")["user_names"]
    assert names == sorted(names) and {"anonymous", "root", one, two} <= set(names)
    for status in ("2", "WebhookError", "webhookerror", "WEBHOOKERROR", "Webhookerror", "4,2", "Pending, WebhookError"):
        found = magpie.ok("GET", "/users", params={"status": status})["user_names"]
        assert two in found and one not in found, status
    for status in ("all", "All", "ALL", "1,2", "ok,2"):
        assert {one, two} <= set(magpie.ok("GET", "/users", params={"status": status})["user_names"])
    assert magpie.ok("GET", "/users", params={"status": "pending"})["user_names"] == []
    for status in ("", "0", "3", "7", "8", "x", "oK", "1,", "-1", "webhookError"):
        magpie.fails("GET", "/users", params={"status": status}, status=400, param="status")


def test_list_with_details(magpie):
    group = magpie.group()["group_name"]
    user = magpie.user(group_name=group)
    users = magpie.ok("GET", "/users", params={"detail": "true"})["users"]
    assert [u["user_name"] for u in users] == magpie.ok("GET", "/users")["user_names"]
    assert user in users
    (anonymous,) = [u for u in users if u["user_name"] == "anonymous"]
    assert anonymous["group_names"] == ["anonymous"] and "user_id" not in anonymous


def test_get_of_nobody(magpie):
    for name in ("nobody", "%20", "a%2Fb", "x" * 300, "%C3%BC"):
        magpie.fails("GET", f"/users/{name}", status=404, param="user_name")


def test_current(magpie, plain):
    assert magpie.ok("GET", "/users/current")["user"]["user_name"] == "root"
    assert plain.ok("GET", "/users/current")["user"]["user_name"] == plain.name
    assert plain.ok("GET", "/users/current/groups")["group_names"] == ["anonymous"]


# ---- update ----


def test_update_of_the_status(magpie):
    user = magpie.user()
    path = f"/users/{user['user_name']}"
    forms = [(2, "WebhookError"), ("1", "OK"), ("webhookerror", "WebhookError"), ("Ok", "OK"), (4, "Pending"),
             ("OK", "OK")]
    for given, stored in forms:
        told = magpie.told()
        magpie.ok("PATCH", path, {"status": given})
        assert magpie.status(user["user_name"]) == stored
        ((action, params),) = told()
        token = params.pop("callback_url").rsplit("/tmp/", 1)[1]
        number = {"OK": 1, "WebhookError": 2, "Pending": 4}[stored]
        assert UUID.match(token) and action == "update_user_status"
        assert params == {"user.name": user["user_name"], "user.id": user["user_id"], "user.status": number}
        magpie.fails("PATCH", path, {"status": given}, 400)  # nothing changes
    told = magpie.told()
    for bad in (0, 3, 8, -1, "x", "webhookError", "", [], True, 1.0):
        magpie.fails("PATCH", path, {"status": bad}, 400, "status")
    assert told() == []


def test_update_by_a_form(magpie):
    name = magpie.user()["user_name"]
    magpie.ok("PATCH", f"/users/{name}", form={"status": "2"})
    assert magpie.status(name) == "WebhookError"


def test_update_of_the_rest(magpie):
    user = magpie.user()
    told = magpie.told()
    name = fresh()
    magpie.ok("PATCH", f"/users/{user['user_name']}", {"user_name": name, "email": f"{name}@new", "password": "p" * 12})
    assert told() == []
    assert magpie.ok("GET", f"/users/{name}")["user"] == {**user, "user_name": name, "email": f"{name}@new"}
    magpie.fails("GET", f"/users/{user['user_name']}", status=404)
    # The new name is told when both change at once.
    newest = fresh()
    magpie.ok("PATCH", f"/users/{name}", {"user_name": newest, "status": 2})
    assert [params["user.name"] for _, params in told()] == [newest]


def test_update_refused(magpie):
    user, other = magpie.user(), magpie.user()
    path = f"/users/{user['user_name']}"
    told = magpie.told()
    magpie.fails("PATCH", path, {}, 400)
    magpie.fails("PATCH", path, {"user_name": user["user_name"], "email": user["email"], "status": "OK"}, 400)
    magpie.fails("PATCH", path, {"user_name": other["user_name"]}, 409, "user_name")
    magpie.fails("PATCH", path, {"email": other["email"]}, 409, "email")
    magpie.fails("PATCH", path, {"user_name": "Bad"}, 400, "user_name")
    magpie.fails("PATCH", path, {"user_name": "current"}, 400, "user_name")
    magpie.fails("PATCH", path, {"user_name": "admin"}, 400, "user_name")
    magpie.fails("PATCH", path, {"email": "x"}, 400, "email")
    magpie.fails("PATCH", path, {"password": "short"}, 400, "password")
    magpie.fails("PATCH", path, {"status": 2, "email": other["email"]}, 409, "email")
    magpie.fails("PATCH", "/users/anonymous", {"status": 2}, 403)
    magpie.fails("PATCH", "/users/nobody", {"status": 2}, 404, "user_name")
    assert told() == [] and magpie.status(user["user_name"]) == "OK"


def test_what_people_may_do_themselves(magpie, plain):
    told = magpie.told()
    plain.ok("PATCH", "/users/current", {"email": f"{fresh()}@own"})
    plain.ok("PATCH", f"/users/{plain.name}", {"password": "my own password"})
    plain.fails("PATCH", "/users/current", {"user_name": "other"}, 403, "user_name")
    plain.fails("PATCH", "/users/current", {"status": 2}, 403, "status")
    other = magpie.user()["user_name"]
    for call in (("GET", "/users"), ("GET", f"/users/{other}"), ("DELETE", f"/users/{other}"), ("POST", "/users"),
                 ("PATCH", f"/users/{other}"), ("GET", "/groups"), ("POST", "/groups"), ("GET", "/services"),
                 ("PATCH", "/permissions"), ("POST", "/users/current/groups"),
                 ("POST", "/users/current/resources/1/permissions")):
        plain.fails(*call, status=403)
    assert [action for action, _ in told()] == ["create_user"]


# ---- delete ----


def test_delete(magpie):
    user, service = magpie.user(), magpie.service()
    path = f"/users/{user['user_name']}"
    magpie.ok("POST", f"{path}/services/{service['service_name']}/permissions", {"permission": "read"}, 201)
    told = magpie.told()
    magpie.ok("DELETE", path)
    expected = {"user.name": user["user_name"], "user.id": user["user_id"], "user.email": user["email"]}
    assert told() == [("delete_user", expected)]
    magpie.fails("DELETE", path, status=404, param="user_name")


def test_delete_oneself(server, magpie):
    name = magpie.user()["user_name"]
    told = magpie.told()
    own = Magpie(server, make_token(server, name))
    own.ok("DELETE", "/users/current")
    assert [action for action, _ in told()] == ["delete_user"]
    own.fails("GET", "/users/current", status=401)
    # Whoever gets the name next is somebody else.
    magpie.user(name)
    own.fails("GET", "/users/current", status=401)


def test_all_that_is_told_of_a_user_is_on_their_channel(magpie):
    user, service = magpie.user(), magpie.service()["service_name"]
    path = f"/users/{user['user_name']}"
    magpie.ok("PATCH", path, {"status": "WebhookError"})
    magpie.ok("POST", f"{path}/services/{service}/permissions", {"permission": "read"}, 201)
    magpie.ok("DELETE", f"{path}/services/{service}/permissions/read")
    magpie.ok("DELETE", path)
    magpie.ok("POST", f"/users/anonymous/services/{service}/permissions", {"permission": "read"}, 201)
    magpie.ok("POST", f"/groups/anonymous/services/{service}/permissions", {"permission": "read"}, 201)
    mine = [f"user.{user['user_id']}"]
    assert [(message["eventType"], message["channels"]) for message in magpie.messages(7)[::-1]] == [
        ("magpie.create_user", mine), ("magpie.update_user_status", mine),
        ("magpie.create_user_permission", mine), ("magpie.delete_user_permission", mine),
        ("magpie.delete_user", mine),
        ("magpie.create_user_permission", None), ("magpie.create_group_permission", None)]


def test_delete_of_the_reserved(server, magpie):
    make_token(server, "admin")
    told = magpie.told()
    for name in ("anonymous", "admin"):
        magpie.fails("DELETE", f"/users/{name}", status=403, param="user_name")
    magpie.fails("PATCH", "/users/admin", {"user_name": "other"}, 403, "user_name")
    magpie.ok("PATCH", "/users/admin", {"email": "admin@example.org"})
    assert told() == []


# ---- who calls ----


def test_without_a_token(server):
    nobody = Magpie(server)
    for call in (("GET", "/users"), ("POST", "/users"), ("GET", "/users/current"), ("PATCH", "/permissions")):
        nobody.fails(*call, status=401)
    for header in ("", "Bearer", "Bearer x", "Basic YTpi", "Token x"):
        assert nobody.request("GET", "/users", headers={"Authorization": header}).status_code == 401


def test_paths_that_are_not_there(magpie):
    magpie.fails("GET", "/nothing", status=404)
    answer = magpie.request("PUT", "/users")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    is_error(answer, 405)
    is_error(magpie.request("POST", "/users", {"user_name": "x" * (1 << 22)}), 413)
    is_error(magpie.request("GET", "/users/%00"), 400)


def test_tokens(server, magpie):
    name = fresh()
    token = make_token(server, name, name="mine")
    user = Magpie(server, token).ok("GET", "/users/current")["user"]
    assert user["group_names"] == ["administrators", "anonymous"] and user["email"] is None
    told = magpie.told()
    make_token(server, fresh())
    assert told() == []  # the first administrator has to come from somewhere
    server.run("token", "revoke", "--surface", "magpie", "mine")
    Magpie(server, token).fails("GET", "/users", status=401)
    listed = server.run("token", "list", "--surface", "magpie", "--json").stdout
    assert token not in listed and json.loads(listed.splitlines()[0])["grants"].keys() == {"user"}
    for bad in ("current", "anonymous", "Upper", ""):
        assert server.run("token", "create", "--surface", "magpie", "--user", bad, check=False).returncode == 2


def test_an_idempotency_key_is_each_callers_own(server, magpie):
    key = {"Idempotency-Key": fresh("key")}
    name = fresh()
    body = {"user_name": name, "email": f"{name}@example.org"}
    first = magpie.request("POST", "/users", body, headers=key)
    again = magpie.request("POST", "/users", body, headers=key)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    other = Magpie(server, make_token(server, fresh()))
    assert other.request("POST", "/users", body, headers=key).status_code == 409
