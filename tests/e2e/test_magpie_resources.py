# SPDX-License-Identifier: Apache-2.0
"""Services and their trees of resources: every call, the nesting of types, and what cannot be made."""

import concurrent.futures

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
    assert told() == []


# What may stand below what, by the specification's table; everything else is refused.
NESTING = {
    "access": {},
    "api": {"service": ["route"], "route": ["route"]},
    "thredds": {"service": ["directory", "file"], "directory": ["directory", "file"]},
    "wps": {"service": ["process"]},
    "wfs": {"service": ["layer"]},
    "ncwms": {"service": ["directory", "file"], "directory": ["directory", "file"]},
    "geoserverwms": {"service": ["workspace"], "workspace": ["layer"]},
    "geoserverwfs": {"service": ["workspace"], "workspace": ["layer"]},
    "geoserverwps": {"service": ["workspace"], "workspace": ["process"]},
    "geoserver": {"service": ["workspace", "route"], "route": ["workspace", "route"],
                  "workspace": ["layer", "process"]},
}
TYPES = ["service", "directory", "file", "layer", "workspace", "route", "process"]


def test_service(server, magpie):
    name = fresh("S")
    body = {"service_name": name, "service_type": "wps", "service_url": "https://h.example:8443/wps?x=1",
            "configuration": {"a": [1, {"b": None}]}, "service_push": False}
    service = magpie.ok("POST", "/services", body, 201)["service"]
    assert {**service, **body} == {**service, "service_push": False}
    assert service["service_sync_type"] is None and service["public_url"].endswith("/" + name)
    assert "execute-deny-match" in service["permission_names"] and len(service["permission_names"]) == 12
    assert magpie.ok("GET", f"/services/{name}")["service"] == service
    assert magpie.ok("GET", "/services")["services"]["wps"][name] == service
    of_type = magpie.ok("GET", "/services/types/wps")["services"]
    assert list(of_type) == ["wps"] and of_type["wps"][name] == service
    assert magpie.ok("GET", "/services/types/ncwms")["services"] == {}
    assert magpie.ok("GET", "/services/types")["service_types"] == list(NESTING)
    magpie.fails("GET", "/services/types/none", status=404, param="service_type")
    assert service in magpie.ok("GET", "/services", params={"flatten": "true"})["services"]
    allowed = magpie.ok("GET", f"/services/{name}/permissions")
    assert allowed["permission_names"] == service["permission_names"] and len(allowed["permissions"]) == 12
    assert allowed["permissions"][0]["type"] == "allowed"
    magpie.ok("DELETE", f"/services/{name}")
    magpie.fails("GET", f"/services/{name}", status=404, param="service_name")
    magpie.fails("DELETE", f"/services/{name}", status=404, param="service_name")


def test_service_refused(magpie):
    service = magpie.service()
    good = {"service_name": fresh("s"), "service_type": "api", "service_url": "http://h.example"}
    magpie.fails("POST", "/services", {**good, "service_name": service["service_name"]}, 409, "service_name")
    for field, values in {
        "service_name": ["", "types", "-x", "a  b", "ü", "a/b", "x" * 257, None],
        "service_type": ["", "none", "API", None],
        "service_url": ["", "h.example", "ftp://h.example/", "http://", "http://h.example/\n", "x" * 3000, None],
    }.items():
        for value in values:
            magpie.fails("POST", "/services", {**good, field: value}, 400, field)
        magpie.fails("POST", "/services", {key: good[key] for key in good if key != field}, 400, field)
        magpie.fails("POST", "/services", {**good, field: 7}, 422, field)
    for value in ("x", [], 1):
        magpie.fails("POST", "/services", {**good, "configuration": value}, 422, "configuration")
    magpie.fails("POST", "/services", {**good, "configuration": {"a": "x" * 70000}}, 422, "configuration")


@pytest.mark.parametrize("kind", NESTING)
def test_nesting(magpie, kind):
    """Every type below every other one that can be made in such a service."""
    service = magpie.service(kind)
    parents = {"service": service}
    waiting = ["service"]
    while waiting:
        parent = waiting.pop()
        for child in TYPES + ["nothing"]:
            body = {"resource_name": fresh("r"), "resource_type": child, "parent_id": parents[parent]["resource_id"]}
            answer = magpie.request("POST", "/resources", body)
            if child in NESTING[kind].get(parent, []):
                assert answer.status_code == 201, (parent, child, answer.text)
                if child not in parents:
                    parents[child] = answer.json()["resource"]
                    waiting.append(child)
            else:
                assert answer.status_code == 403 and answer.json()["param"]["name"] == "resource_type", (parent, child)


def test_resource(magpie):
    service = magpie.service("api")
    name = service["service_name"]
    route = magpie.resource(service, name="a:b.c", resource_display_name="Ä {{user.id}}")
    assert route == {"resource_name": "a:b.c", "resource_display_name": "Ä {{user.id}}", "resource_type": "route",
                     "resource_id": route["resource_id"]}
    below = magpie.resource(route, name="x")
    assert below["resource_display_name"] == "x"
    body = {"resource_name": "y", "resource_type": "route"}
    side = magpie.ok("POST", f"/services/{name}/resources", body, 201)["resource"]
    deep = {**body, "resource_name": "z", "parent_id": str(below["resource_id"])}
    deepest = magpie.ok("POST", f"/services/{name}/resources", form=deep, status=201)["resource"]

    got = magpie.ok("GET", f"/resources/{route['resource_id']}")["resource"]
    assert got["parent_id"] == got["root_service_id"] == service["resource_id"]
    assert list(got["children"]) == [str(below["resource_id"])]
    child = got["children"][str(below["resource_id"])]
    assert child["parent_id"] == route["resource_id"] and child["root_service_id"] == service["resource_id"]
    assert child["children"][str(deepest["resource_id"])]["children"] == {}
    tree = magpie.ok("GET", f"/services/{name}/resources")[name]["resources"]
    assert set(tree) == {str(route["resource_id"]), str(side["resource_id"])}
    everything = magpie.ok("GET", "/resources")["resources"]
    assert everything["api"][name]["resources"] == tree and list(everything) == sorted(everything)
    top = magpie.ok("GET", f"/resources/{service['resource_id']}")["resource"]
    assert top["resource_type"] == "service" and top["parent_id"] is None and top["children"] == tree
    allowed = magpie.ok("GET", f"/resources/{route['resource_id']}/permissions")["permission_names"]
    assert {word.split("-")[0] for word in allowed} == {"read", "write"}

    magpie.ok("DELETE", f"/resources/{route['resource_id']}")
    for gone in (route, below, deepest):
        magpie.fails("GET", f"/resources/{gone['resource_id']}", status=404, param="resource_id")
    assert set(magpie.ok("GET", f"/services/{name}/resources")[name]["resources"]) == {str(side["resource_id"])}
    magpie.ok("DELETE", f"/resources/{service['resource_id']}")
    magpie.fails("GET", f"/services/{name}", status=404)
    magpie.fails("GET", f"/resources/{side['resource_id']}", status=404)


def test_resource_refused(magpie):
    service, other = magpie.service("api"), magpie.service("api")
    route = magpie.resource(service)
    good = {"resource_name": fresh("r"), "resource_type": "route", "parent_id": service["resource_id"]}
    magpie.fails("POST", "/resources", {**good, "resource_name": route["resource_name"]}, 409, "resource_name")
    magpie.resource(other, name=route["resource_name"])  # only siblings differ
    magpie.resource(route, name=route["resource_name"])
    for parent in (0, -1, 1.5, "x", "", [], None):
        magpie.fails("POST", "/resources", {**good, "parent_id": parent}, 422, "parent_id")
    magpie.fails("POST", "/resources", {**good, "parent_id": 10**15}, 404, "parent_id")
    magpie.fails("POST", "/resources", {"resource_name": "a", "resource_type": "route"}, 422, "parent_id")
    for name in ("-x", "a/b", "ü", "a  b", "x" * 257):
        magpie.fails("POST", "/resources", {**good, "resource_name": name}, 422, "resource_name")
    magpie.fails("POST", "/resources", {**good, "resource_display_name": "a\nb"}, 422, "resource_display_name")
    magpie.fails("POST", "/resources", {**good, "resource_display_name": "x" * 257}, 422, "resource_display_name")
    path = f"/services/{other['service_name']}/resources"
    magpie.fails("POST", path, {**good, "parent_id": route["resource_id"]}, 404, "parent_id")
    magpie.fails("POST", "/services/nothing/resources", good, 404, "service_name")
    for word in ("x", "-1", "1x", "%20", "99999999999999999999"):
        for method in ("GET", "DELETE"):
            magpie.fails(method, f"/resources/{word}", status=422, param="resource_id")
    magpie.fails("GET", "/resources/0", status=404, param="resource_id")


def test_update_of_a_service(magpie):
    service, other = magpie.service("api", configuration={"a": 1}), magpie.service("wps")
    name, route = service["service_name"], magpie.resource(service)
    changes = {"service_name": name + "x", "service_url": "https://other.example/", "configuration": {}}
    answer = magpie.ok("PATCH", f"/services/{name}", changes)["service"]
    assert answer == {**service, **changes, "public_url": service["public_url"] + "x"}
    assert magpie.ok("GET", f"/services/{name}x")["service"] == answer
    magpie.fails("GET", f"/services/{name}", status=404)
    assert str(route["resource_id"]) in magpie.ok("GET", f"/services/{name}x/resources")[name + "x"]["resources"]
    path = f"/services/{name}x"
    for same in ({}, {"service_url": "https://other.example/"}, {"service_name": name + "x"}):
        magpie.fails("PATCH", path, same, 400)
    magpie.fails("PATCH", path, {"service_name": other["service_name"]}, 409, "service_name")
    magpie.fails("PATCH", path, {"service_name": "types"}, 400, "service_name")
    magpie.fails("PATCH", path, {"service_url": "x"}, 400, "service_url")
    magpie.fails("PATCH", path, {"configuration": []}, 422, "configuration")
    magpie.fails("PATCH", f"/services/{name}", {"service_url": "http://h"}, 404, "service_name")
    magpie.fails("PATCH", f"/resources/{service['resource_id']}", {"resource_name": "x"}, 403, "resource_id")


def test_update_of_a_resource(magpie):
    service = magpie.service("api")
    one, two = magpie.resource(service, name="one"), magpie.resource(service, name="two")
    below = magpie.resource(one, name="two")
    path = f"/resources/{one['resource_id']}"
    magpie.ok("PATCH", path, {"resource_name": "three", "resource_display_name": "Drei ü"})
    got = magpie.ok("GET", path)["resource"]
    assert (got["resource_name"], got["resource_display_name"]) == ("three", "Drei ü")
    assert list(got["children"]) == [str(below["resource_id"])]
    magpie.fails("PATCH", path, {"resource_name": "three"}, 400)
    magpie.fails("PATCH", path, {}, 400)
    magpie.fails("PATCH", path, {"resource_name": two["resource_name"]}, 409, "resource_name")
    magpie.fails("PATCH", path, {"resource_name": "-"}, 422, "resource_name")
    magpie.fails("PATCH", path, {"resource_display_name": "a\nb"}, 422, "resource_display_name")
    magpie.fails("PATCH", "/resources/x", {"resource_name": "a"}, 422, "resource_id")
    magpie.fails("PATCH", "/resources/999999", {"resource_name": "a"}, 404, "resource_id")
    magpie.ok("PATCH", f"/resources/{below['resource_id']}", form={"resource_name": "three"})


def test_depth_is_bounded(magpie):
    parent = magpie.service("api")
    for _ in range(32):
        parent = magpie.resource(parent)
    body = {"resource_name": "x", "resource_type": "route", "parent_id": parent["resource_id"]}
    magpie.fails("POST", "/resources", body, 403, "parent_id")


def test_a_wide_tree(magpie):
    """A thousand siblings by several clients come back, in order, and go at once."""
    service = magpie.service("thredds")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: magpie.resource(service, "file", f"f{n}"), range(1000)))
    name = service["service_name"]
    tree = magpie.ok("GET", f"/services/{name}/resources")[name]["resources"]
    assert [int(key) for key in tree] == sorted(row["resource_id"] for row in made)
    magpie.ok("DELETE", f"/services/{service['service_name']}")
    magpie.fails("GET", f"/resources/{made[-1]['resource_id']}", status=404)


def test_lists_of_many_services():
    """All of them come, until they are more than an answer may hold: then none does, in words."""
    with Server() as server:
        magpie = Magpie(server, make_token(server, "root"))
        names = sorted(magpie.service("api")["service_name"] for _ in range(70))
        assert list(magpie.ok("GET", "/resources")["resources"]["api"]) == names
        configuration = {"a": "x" * 65000}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: magpie.service("wps", configuration=configuration), range(1040)))
        for path in ("/services", "/services?flatten", "/resources"):
            assert "longer" in magpie.fails("GET", path, status=413)["detail"]
        assert list(magpie.ok("GET", "/services/types/api")["services"]["api"]) == names


def test_two_at_once(magpie):
    service = magpie.service("api")
    body = {"resource_name": "same", "resource_type": "route", "parent_id": service["resource_id"]}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: magpie.request("POST", "/resources", body).status_code, range(8)))
    assert sorted(codes) == [201] + [409] * 7
