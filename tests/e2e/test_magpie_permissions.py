# SPDX-License-Identifier: Apache-2.0
"""Permissions of the magpie surface: the four collections, their vocabulary, the batch, and what is told."""

import itertools

import pytest
from harness.magpie import Magpie, fresh, make_token, rows

WPS = "getcapabilities describeprocess execute"
WFS = ("getcapabilities getfeature describefeaturetype lockfeature transaction getfeaturewithlock createstoredquery"
       " dropstoredquery liststoredqueries describestoredqueries")
GEOSERVER_WFS = WFS + " getgmlobject getpropertyvalue"
NCWMS = "getcapabilities getmap getfeatureinfo getlegendgraphic getmetadata"
GEOSERVER_WMS = "getcapabilities getmap getfeatureinfo getlegendgraphic describelayer"
PROCESS = "describeprocess execute"
GEOSERVER_LAYER = set((GEOSERVER_WFS + " " + GEOSERVER_WMS).split())

# Type of the service, types from the top to the target, what may be given there.
VOCABULARY = [
    ("access", [], "access"),
    ("api", [], "read write"),
    ("api", ["route"], "read write"),
    ("thredds", [], "browse read write"),
    ("thredds", ["directory"], "browse read write"),
    ("thredds", ["file"], "browse read write"),
    ("wps", [], WPS),
    ("wps", ["process"], PROCESS),
    ("wfs", [], WFS),
    ("wfs", ["layer"], "getfeature describefeaturetype lockfeature transaction"),
    ("ncwms", [], NCWMS),
    ("ncwms", ["directory", "file"], NCWMS),
    ("geoserverwms", [], GEOSERVER_WMS),
    ("geoserverwms", ["workspace"], GEOSERVER_WMS),
    ("geoserverwms", ["workspace", "layer"], GEOSERVER_WMS),
    ("geoserverwfs", [], GEOSERVER_WFS),
    ("geoserverwfs", ["workspace", "layer"], GEOSERVER_WFS),
    ("geoserverwps", ["workspace"], WPS),
    ("geoserverwps", ["workspace", "process"], PROCESS),
    ("geoserver", [], " ".join(sorted(GEOSERVER_LAYER | set(WPS.split()) | {"read", "write"}))),
    ("geoserver", ["route"], "read write"),
    ("geoserver", ["workspace", "layer"], " ".join(sorted(GEOSERVER_LAYER))),
    ("geoserver", ["workspace", "process"], PROCESS),
]
NAMES = ("read write access browse getcapabilities getmap getfeatureinfo getlegendgraphic getmetadata getpropertyvalue"
         " getfeature getfeaturewithlock getgmlobject describefeaturetype describelayer describeprocess execute"
         " lockfeature transaction createstoredquery dropstoredquery liststoredqueries describestoredqueries").split()


@pytest.fixture(scope="module")
def magpie(server):
    return Magpie(server, make_token(server, "root"))


class Holder:
    """A user or a group, and a resource or a service: one of the four collections, with what is told of it."""

    def __init__(self, magpie, kind, target):
        self.magpie, self.kind = magpie, kind
        self.service = magpie.service("api")
        self.resource = self.service if target == "services" else magpie.resource(self.service, name=fresh("R"))
        key = self.service["service_name"] if target == "services" else self.resource["resource_id"]
        if kind == "user":
            self.row = magpie.user()
            self.path = f"/users/{self.row['user_name']}/{target}/{key}/permissions"
        else:
            self.row = magpie.group()
            self.path = f"/groups/{self.row['group_name']}/{target}/{key}/permissions"
        self.is_service = target == "services"

    def params(self, name, access="allow", scope="recursive"):
        of_user = {f"user.{key}": self.row[f"user_{key}"] for key in ("name", "id")} if self.kind == "user" else {}
        if self.kind == "user":
            of_user |= {"user.email": self.row["email"], "user.status": "OK"}
        else:
            of_user = {f"group.{key}": self.row[f"group_{key}"] for key in ("name", "id")}
        word = self.service["service_name"] if self.is_service else self.resource["resource_name"]
        return of_user | {
            "resource.id": self.resource["resource_id"], "resource.type": "service" if self.is_service else "route",
            "resource.name": word, "resource.display_name": word,
            "service.name": word if self.is_service else None, "service.type": "api",
            "service.public_url": self.service["public_url"] if self.is_service else None, "service.sync_type": None,
            "permission.name": name, "permission.access": access, "permission.scope": scope,
            "permission": f"{name}-{access}-{scope}",
        }

    def created(self, *permission):
        return (f"create_{self.kind}_permission", self.params(*permission))

    def deleted(self, *permission):
        return (f"delete_{self.kind}_permission", self.params(*permission))

    def list(self):
        answer = self.magpie.ok("GET", self.path)
        assert answer["permission_names"] == [f"{p['name']}-{p['access']}-{p['scope']}" for p in answer["permissions"]]
        assert all(p["type"] == "applied" for p in answer["permissions"])
        return answer["permission_names"]


@pytest.fixture(params=itertools.product(["user", "group"], ["services", "resources"]), ids="-".join)
def holder(request, magpie):
    return Holder(magpie, *request.param)


def test_post_and_delete(magpie, holder):
    told = magpie.told()
    answer = magpie.ok("POST", holder.path, {"permission": "read"}, 201)
    assert answer["permission_name"] == "read-allow-recursive"
    assert answer["permission"] == {"name": "read", "access": "allow", "scope": "recursive", "type": "applied"}
    if holder.kind == "user":
        assert answer["resource_id"] == holder.resource["resource_id"] and answer["user_id"] == holder.row["user_id"]
    else:
        assert answer["group"] == holder.row and answer["resource"]["resource_id"] == holder.resource["resource_id"]
    assert told() == [holder.created("read")]
    for same in ("read", "read-match", "read-deny"):
        magpie.fails("POST", holder.path, {"permission": same}, 409, "permission_name")
    magpie.ok("POST", holder.path, {"permission_name": "write-deny-match"}, 201)
    assert holder.list() == ["read-allow-recursive", "write-deny-match"]
    told = magpie.told()
    # The name decides; what is told are the modifiers of the row.
    magpie.ok("DELETE", holder.path, {"permission": "write"})
    magpie.ok("DELETE", f"{holder.path}/read-deny-match")
    assert told() == [holder.deleted("write", "deny", "match"), holder.deleted("read")]
    told = magpie.told()
    magpie.fails("DELETE", holder.path, {"permission": "write"}, 404, "permission_name")
    magpie.fails("DELETE", f"{holder.path}/read", status=404, param="permission_name")
    assert told() == [] and holder.list() == []


def test_put(magpie, holder):
    told = magpie.told()
    magpie.ok("PUT", holder.path, {"permission": "read"}, 201)
    magpie.ok("PUT", holder.path, {"permission": "read-deny-match"}, 200)
    assert told() == [holder.created("read"), holder.deleted("read"), holder.created("read", "deny", "match")]
    told = magpie.told()
    answer = magpie.request("PUT", holder.path, {"permission": "read-deny-match"})
    assert answer.status_code == (409 if holder.kind == "user" else 200)
    assert told() == [] and holder.list() == ["read-deny-match"]


FORMS = [
    ("read", "read-allow-recursive"),
    ("read-match", "read-allow-match"),
    ("read-deny", "read-deny-recursive"),
    ("read-allow", "read-allow-recursive"),
    ("read-deny-match", "read-deny-match"),
    ({"name": "read"}, "read-allow-recursive"),
    ({"permission_name": "read", "scope": "match"}, "read-allow-match"),
    ({"permission": "read", "access": "deny"}, "read-deny-recursive"),
    ({"perm_name": "read", "access": "deny", "scope": "match", "type": "applied"}, "read-deny-match"),
    ({"name": "read", "access": None, "scope": None}, "read-allow-recursive"),
]


def test_forms(magpie):
    holder = Holder(magpie, "user", "services")
    for key in ("permission", "permission_name"):
        for given, stored in FORMS:
            magpie.ok("POST", holder.path, {key: given}, 201)
            assert holder.list() == [stored], given
            magpie.ok("DELETE", f"{holder.path}/{stored}")
    magpie.ok("POST", holder.path, form={"permission": "read-match"}, status=201)
    magpie.ok("DELETE", holder.path, {"permission_name": {"name": "read"}})
    assert holder.list() == []


def test_refused(magpie, holder):
    told = magpie.told()
    for bad in ("", "Read", "reads", "read-", "-read", "read-match-deny", "read-allow-match-x", "read--match",
                "read allow",
                "ü", "read-deny-deny", 7, [], {}, {"name": "x"}, {"name": "read", "access": "x"},
                {"name": "read", "scope": "deny"}, {"name": 7}, True):
        for method in ("POST", "PUT", "DELETE"):
            magpie.fails(method, holder.path, {"permission": bad}, 422)
    for method in ("POST", "PUT", "DELETE"):
        magpie.fails(method, holder.path, {}, 422)
        magpie.fails(method, holder.path, {"permission": None}, 422)
    magpie.fails("DELETE", f"{holder.path}/nothing", status=422, param="permission_name")
    for method in ("POST", "PUT"):
        magpie.fails(method, holder.path, {"permission": "execute"}, 400, "permission_name")
    for path in (holder.path.replace(holder.row[f"{holder.kind}_name"], "nobody"),
                 f"/{holder.kind}s/{holder.row[f'{holder.kind}_name']}/resources/999999/permissions",
                 f"/{holder.kind}s/{holder.row[f'{holder.kind}_name']}/services/nothing/permissions"):
        magpie.fails("GET", path, status=404)
        for method in ("POST", "PUT", "DELETE"):
            magpie.fails(method, path, {"permission": "read"}, 404)
    bad = f"/{holder.kind}s/{holder.row[f'{holder.kind}_name']}/resources/x/permissions"
    magpie.fails("POST", bad, {"permission": "read"}, 422, "resource_id")
    assert told() == []


@pytest.mark.parametrize("kind,types,allowed", VOCABULARY, ids=lambda value: str(value) if value else "-")
def test_vocabulary(magpie, kind, types, allowed):
    """Every one of the 23 names on every kind of target."""
    target = magpie.service(kind)
    for step in types:
        target = magpie.resource(target, step)
    path = f"/users/anonymous/resources/{target['resource_id']}/permissions"
    for name in NAMES:
        answer = magpie.request("POST", path, {"permission": name})
        assert answer.status_code == (201 if name in allowed.split() else 400), name
    assert rows(magpie.ok("GET", path)["permissions"]) == sorted(f"{n}-allow-recursive" for n in allowed.split())


def test_the_anonymous_user_has_no_id(magpie):
    service = magpie.service()
    told = magpie.told()
    path = f"/users/anonymous/services/{service['service_name']}/permissions"
    assert "user_id" not in magpie.ok("POST", path, {"permission": "read"}, 201)
    ((action, params),) = told()
    assert action == "create_user_permission" and params["user.name"] == "anonymous" and "user.id" not in params


def test_current(server, magpie):
    name, service = magpie.user()["user_name"], magpie.service()["service_name"]
    magpie.ok("POST", f"/users/{name}/services/{service}/permissions", {"permission": "read"}, 201)
    own = Magpie(server, make_token(server, name))
    mine = own.ok("GET", f"/users/current/services/{service}/permissions")["permissions"]
    assert rows(mine) == ["read-allow-recursive"]
    own.fails("POST", f"/users/current/services/{service}/permissions", {"permission": "write"}, 403)
    magpie.ok("POST", f"/users/current/services/{service}/permissions", {"permission": "write"}, 201)
    theirs = magpie.ok("GET", f"/users/root/services/{service}/permissions")["permissions"]
    assert rows(theirs) == ["write-allow-recursive"]


def test_all_that_somebody_has(server, magpie, holder):
    other = magpie.service("wps")
    row = holder.row[f"{holder.kind}_name"]
    mine = f"/{holder.kind}s/{row}"
    magpie.ok("POST", holder.path, {"permission": "write-deny"}, 201)
    magpie.ok("POST", holder.path, {"permission": "read"}, 201)
    magpie.ok("POST", f"{mine}/services/{other['service_name']}/permissions", {"permission": "execute"}, 201)
    listed = magpie.ok("GET", f"{mine}/permissions")["permissions"]
    assert [p["permission_name"] for p in listed] == [
        "read-allow-recursive", "write-deny-recursive", "execute-allow-recursive"]
    assert listed[1] == {
        "resource_id": holder.resource["resource_id"], "resource_type": "service" if holder.is_service else "route",
        "resource_name": holder.params("x")["resource.name"], "service_name": holder.service["service_name"],
        "permission_name": "write-deny-recursive",
        "permission": {"name": "write", "access": "deny", "scope": "recursive", "type": "applied"},
    }
    magpie.fails("GET", f"/{holder.kind}s/nobody/permissions", status=404, param=f"{holder.kind}_name")
    magpie.fails("GET", f"{mine}/permissions?effective=true", status=501)
    if holder.kind == "user":
        assert Magpie(server, make_token(server, row)).ok("GET", "/users/current/permissions")["permissions"] == listed


def test_what_is_not_known_is_not_made_up(magpie, holder):
    for flag in ("effective=true", "effective", "inherited=1", "inherit=true"):
        magpie.fails("GET", f"{holder.path}?{flag}", status=501)
    magpie.ok("GET", f"{holder.path}?effective=false")


def test_nothing_is_told_of_what_goes_along(magpie):
    """Users, groups, services and resources take their permissions with them, without a word."""
    user, group, service = magpie.user()["user_name"], magpie.group()["group_name"], magpie.service("api")
    route = magpie.resource(service)
    for holder in (f"/users/{user}", f"/groups/{group}"):
        for target in (service, route):
            magpie.ok("POST", f"{holder}/resources/{target['resource_id']}/permissions", {"permission": "read"}, 201)
    told = magpie.told()
    magpie.ok("DELETE", f"/resources/{route['resource_id']}")
    magpie.ok("DELETE", f"/groups/{group}")
    magpie.ok("DELETE", f"/services/{service['service_name']}")
    assert told() == []
    again = magpie.service("api", service["service_name"])
    assert magpie.ok("GET", f"/users/{user}/resources/{again['resource_id']}/permissions")["permissions"] == []


# ---- the batch ----


def entry(name, kind, permission=None, **fields):
    row = {"resource_name": name, "resource_type": kind, **fields}
    return row if permission is None else {**row, "permission": permission}


def summary(told):
    return [(action, params["resource.name"], params["permission"]) for action, params in told()]


def test_batch(magpie):
    service, user = magpie.service("thredds")["service_name"], magpie.user()["user_name"]
    group = magpie.group()["group_name"]
    told = magpie.told()
    batch = [
        entry(service, "service"),
        entry("a", "directory"),
        entry("b", "directory", "read-match", user=user, group=group),
        entry("c", "file", {"name": "write"}, user=user, action="create"),
    ]
    magpie.ok("PATCH", "/permissions", {"permissions": batch})
    assert summary(told) == [
        ("create_group_permission", "b", "read-allow-match"),
        ("create_user_permission", "b", "read-allow-match"),
        ("create_user_permission", "c", "write-allow-recursive"),
    ]
    tree = magpie.ok("GET", f"/services/{service}/resources")[service]["resources"]
    ((_, a),) = tree.items()
    ((_, b),) = a["children"].items()
    ((_, c),) = b["children"].items()
    assert [row["resource_name"] for row in (a, b, c)] == ["a", "b", "c"] and c["resource_type"] == "file"
    # Once more: nothing changes, nothing is told.
    told = magpie.told()
    magpie.ok("PATCH", "/permissions", {"permissions": batch})
    assert summary(told) == []
    # Other modifiers: as a delete and a create. Taking what is not there is passed over.
    batch[2]["permission"] = "read"
    batch[3] = entry("c", "file", "write-deny", user=user, action="remove")
    magpie.ok("PATCH", "/permissions", {"permissions": batch})
    assert summary(told) == [
        ("delete_group_permission", "b", "read-allow-match"),
        ("create_group_permission", "b", "read-allow-recursive"),
        ("delete_user_permission", "b", "read-allow-match"),
        ("create_user_permission", "b", "read-allow-recursive"),
        ("delete_user_permission", "c", "write-allow-recursive"),
    ]
    told = magpie.told()
    magpie.ok("PATCH", "/permissions", {"permissions": batch})
    gone = [
        entry(service, "service", "read", user=user, action="remove"),
        entry("zz", "file", "read", user=user, action="remove"),
    ]
    magpie.ok("PATCH", "/permissions", {"permissions": gone})
    assert summary(told) == []
    assert len(magpie.ok("GET", f"/services/{service}/resources")[service]["resources"]) == 1  # no "zz"


def test_batch_on_the_service_alone(magpie):
    service = magpie.service()["service_name"]
    told = magpie.told()
    magpie.ok("PATCH", "/permissions", {"permissions": [entry(service, "service", "read", group="anonymous")]})
    assert summary(told) == [("create_group_permission", service, "read-allow-recursive")]


def test_batch_is_all_or_nothing(magpie):
    service, user = magpie.service("api")["service_name"], magpie.user()["user_name"]
    first = [entry(service, "service", "read", user=user), entry("a", "route", "read", user=user)]
    told = magpie.told()
    for last, status in [
        (entry("b", "route", "read", user="nobody"), 400),
        (entry("b", "route", "read", group="nobody"), 400),
        (entry("b", "route", "read"), 400),
        (entry("b", "file", "read", user=user), 400),
        (entry("b", "nothing", "read", user=user), 400),
        (entry("b", "service", "read", user=user), 400),
        (entry("b", "route", "execute", user=user), 400),
        (entry("b", "route", "nothing", user=user), 422),
        (entry("b", "route", 7, user=user), 422),
        (entry("b", "route", "read", user=user, action="drop"), 400),
        (entry("-b", "route", "read", user=user), 400),
        (entry(7, "route", "read", user=user), 400),
        ({"resource_name": "b"}, 400),
        ("b", 400),
        (entry("b", "route", "read", user="anonymous"), 403),
        (entry("b", "route", "read", user="admin"), 403),
        (entry("b", "route", "read", user="current"), 403),
    ]:
        magpie.fails("PATCH", "/permissions", {"permissions": first + [last]}, status)
    assert told() == []
    assert magpie.ok("GET", f"/services/{service}/resources")[service]["resources"] == {}
    assert magpie.ok("GET", f"/users/{user}/services/{service}/permissions")["permissions"] == []


def test_batch_refused(magpie):
    service, user = magpie.service("api")["service_name"], magpie.user()["user_name"]
    good = [entry(service, "service"), entry("a", "route", "read", user=user)]
    magpie.ok("PATCH", "/permissions", {"permissions": good})
    told = magpie.told()
    for body in (
        {}, {"permissions": None}, {"permissions": {}}, {"permissions": "x"}, {"permissions": []},
        {"permissions": [entry(service, "service")]},
        {"permissions": [entry("a", "route", "read", user=user)]},
        {"permissions": [entry("nothing", "service", "read", user=user)]},
        {"permissions": [entry(service, "service"), entry("a", "route"), entry("b", "route")]},
        {"permissions": [entry(service, "service", "read", user=user)] + [entry("x", "route")] * 33},
    ):
        magpie.fails("PATCH", "/permissions", body, 400)
    magpie.fails("PATCH", "/permissions", form={"permissions": "[]"}, status=400)
    assert told() == []


@pytest.mark.parametrize("change, status, param", [
    ({"resource_name": None}, 400, "permissions[1].resource_name"),
    ({"resource_type": ""}, 400, "permissions[1].resource_type"),
    ({"resource_name": 5}, 400, "permissions[1].resource_name"),
    ({"user": 5}, 400, "permissions[1].user"),
    ({"user": "nobody-at-all"}, 400, "permissions[1].user"),
    ({"group": "nothing"}, 400, "permissions[1].group"),
    ({"action": "take"}, 400, "permissions[1].action"),
    ({"permission": "nothing"}, 422, "permissions[1].permission"),
])
def test_batch_names_the_entry_that_is_wrong(magpie, change, status, param):
    service, user = magpie.service("api")["service_name"], magpie.user()["user_name"]
    batch = [entry(service, "service"), {**entry("a", "route", "read", user=user), **change}]
    magpie.fails("PATCH", "/permissions", {"permissions": batch}, status, param)
    batch[1] = 5
    magpie.fails("PATCH", "/permissions", {"permissions": batch}, 400, "permissions")


def test_batch_against_another_type(magpie):
    service, user = magpie.service("thredds"), magpie.user()["user_name"]
    magpie.resource(service, "file", "a")
    body = [entry(service["service_name"], "service"), entry("a", "directory", "read", user=user)]
    magpie.fails("PATCH", "/permissions", {"permissions": body}, 400)
