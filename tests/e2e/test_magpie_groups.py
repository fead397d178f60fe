# SPDX-License-Identifier: Apache-2.0
"""Groups of the magpie surface, and who is in them. Nothing of it is told to anybody."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.magpie import Magpie, fresh, make_token
from harness.server import Server


@pytest.fixture(scope="module")
def magpie(server):
    return Magpie(server, make_token(server, "root"))


@pytest.fixture(autouse=True)
def silent(magpie):
    told = magpie.told()
    yield
    assert [action for action, _ in told() if action != "create_user"] == []


def test_create_get_delete(magpie):
    name = fresh("Group ")
    fields = {"description": "what it is for, ü", "discoverable": True, "terms": "be\nkind"}
    group = magpie.ok("POST", "/groups", {"group_name": name, **fields}, 201)["group"]
    assert group == {"group_name": name, "group_id": group["group_id"]}
    got = magpie.ok("GET", f"/groups/{name}")["group"]
    assert got == {**group, **fields, "member_count": 0, "user_names": []}
    names = magpie.ok("GET", "/groups")["group_names"]
    assert names == sorted(names) and {"anonymous", "administrators", name} <= set(names)
    magpie.fails("POST", "/groups", {"group_name": name}, 409, "group_name")
    magpie.ok("DELETE", f"/groups/{name}")
    magpie.fails("GET", f"/groups/{name}", status=404, param="group_name")
    magpie.fails("DELETE", f"/groups/{name}", status=404, param="group_name")


def test_create_from_a_form(magpie):
    name = fresh("g")
    magpie.ok("POST", "/groups", form={"group_name": name, "discoverable": "true"}, status=201)
    assert magpie.ok("GET", f"/groups/{name}")["group"]["discoverable"] is True


def test_names(magpie):
    for word in ("a", "A-b_c.d e", "1", "x" * 256):
        magpie.group(word)
        magpie.ok("DELETE", f"/groups/{word}")
    for word in ("", "-a", "a-", "a  b", "ü", "a/b", "a:b", "x" * 257, "current", None):
        magpie.fails("POST", "/groups", {"group_name": word}, 400, "group_name")
    magpie.fails("POST", "/groups", {}, 400, "group_name")
    for field in ({"description": 1}, {"terms": []}, {"discoverable": "maybe"}, {"description": "x" * 1025}):
        magpie.fails("POST", "/groups", {"group_name": fresh("g"), **field}, 422, *field)
    magpie.fails("POST", "/groups", {"group_name": 7}, 422, "group_name")


def test_update(magpie):
    name, other = fresh("g"), magpie.group()["group_name"]
    group = magpie.group(name, description="one", terms="two")
    changes = {"group_name": name + "x", "description": "", "discoverable": True, "terms": "three"}
    magpie.ok("PATCH", f"/groups/{name}", changes)
    path = f"/groups/{name}x"
    got = magpie.ok("GET", path)["group"]
    assert got == {**changes, "group_id": group["group_id"], "member_count": 0, "user_names": []}
    magpie.ok("PATCH", path, form={"discoverable": "false"})
    assert magpie.ok("GET", path)["group"] == {**got, "discoverable": False}
    for same in ({}, {"group_name": name + "x"}, {"terms": "three", "discoverable": False}):
        magpie.fails("PATCH", path, same, 400)
    magpie.fails("PATCH", path, {"group_name": other}, 409, "group_name")
    magpie.fails("PATCH", path, {"group_name": "-"}, 400, "group_name")
    magpie.fails("PATCH", path, {"terms": 7}, 422, "terms")
    magpie.fails("PATCH", "/groups/nothing", {"terms": "x"}, 404, "group_name")
    magpie.fails("PATCH", "/groups/anonymous", {"group_name": "others"}, 403, "group_name")
    magpie.ok("PATCH", "/groups/administrators", {"description": fresh("they may do everything ")})


def test_the_reserved(magpie):
    for name in ("anonymous", "administrators"):
        magpie.fails("DELETE", f"/groups/{name}", status=403, param="group_name")
        magpie.fails("POST", "/groups", {"group_name": name}, 409, "group_name")


def test_members(magpie):
    group, user = magpie.group()["group_name"], magpie.user()["user_name"]
    path = f"/users/{user}/groups"
    added = magpie.ok("POST", path, {"group_name": group}, 201)
    assert (added["user_name"], added["group_name"]) == (user, group)
    magpie.fails("POST", path, {"group_name": group}, 409, "group_name")
    magpie.fails("POST", path, {"group_name": "no-such"}, 404, "group_name")
    magpie.fails("POST", path, {}, 400, "group_name")
    magpie.fails("POST", "/users/nobody/groups", {"group_name": group}, 404, "user_name")
    magpie.fails("POST", "/users/anonymous/groups", {"group_name": group}, 403, "user_name")
    assert magpie.ok("GET", path)["group_names"] == sorted(["anonymous", group])
    assert magpie.ok("GET", f"/groups/{group}/users")["user_names"] == [user]
    assert magpie.ok("GET", f"/groups/{group}")["group"]["member_count"] == 1
    magpie.ok("DELETE", f"{path}/{group}")
    magpie.fails("DELETE", f"{path}/{group}", status=404, param="group_name")
    magpie.fails("DELETE", f"{path}/anonymous", status=403, param="group_name")
    assert magpie.ok("GET", path)["group_names"] == ["anonymous"]


def test_an_administrator_by_membership(server, magpie):
    name = magpie.user()["user_name"]
    client = Magpie(server, make_token(server, name))
    client.fails("GET", "/users", status=403)
    magpie.ok("POST", f"/users/{name}/groups", {"group_name": "administrators"}, 201)
    client.ok("GET", "/users")
    magpie.ok("DELETE", f"/users/{name}/groups/administrators")
    client.fails("GET", "/users", status=403)


def test_a_deleted_group_leaves_nothing(magpie):
    group, service = magpie.group()["group_name"], magpie.service()["service_name"]
    user = magpie.user(group_name=group)["user_name"]
    magpie.ok("DELETE", f"/groups/{group}")
    assert magpie.ok("GET", f"/users/{user}")["user"]["group_names"] == ["anonymous"]
    magpie.group(group)
    assert magpie.ok("GET", f"/groups/{group}/users")["user_names"] == []
    assert magpie.ok("GET", f"/groups/{group}/services/{service}/permissions")["permissions"] == []


def test_the_last_administrator_stays():
    with Server() as server:
        magpie = Magpie(server, make_token(server, "root"))
        magpie.fails("DELETE", "/users/root", status=403, param="user_name")
        magpie.fails("DELETE", "/users/current/groups/administrators", status=403, param="user_name")
        name = magpie.user()["user_name"]
        magpie.fails("DELETE", f"/users/{name}/groups/administrators", status=404, param="group_name")
        magpie.ok("POST", f"/users/{name}/groups", {"group_name": "administrators"}, 201)
        other = Magpie(server, make_token(server, name))
        # Both leave at once: one of them stays.
        with ThreadPoolExecutor(2) as pool:
            left = [pool.submit(one.request, "DELETE", "/users/current/groups/administrators")
                    for one in (magpie, other)]
            assert sorted(answer.result().status_code for answer in left) == [200, 403]
        answers = [one.request("GET", "/groups/administrators/users").json() for one in (magpie, other)]
        members = [answer.get("user_names") for answer in answers]
        assert members in ([["root"], None], [None, [name]])
