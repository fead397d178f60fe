# SPDX-License-Identifier: Apache-2.0
"""Pages: every list can be walked to its end and back, without a gap and without a repetition."""

import pytest
from harness.api import is_error, is_invalid

pytestmark = pytest.mark.smoke


def walk(api, path, limit, start=None, **params):
    """All pages from `start` on in the direction that the iterators take: a list of pages (lists of ids)."""
    pages, iterator = [], start
    while True:
        query = {"limit": limit, **params, **({"iterator": iterator} if iterator else {})}
        page = api.ok("GET", path, params=query)
        pages.append([row.get("id") or row["name"] for row in page["data"]])
        if page["done"]:
            return pages
        assert page["iterator"] == pages[-1][-1] and len(pages) < 100
        iterator = page["iterator"]


@pytest.fixture(scope="module")
def lists(server):
    """An organisation with five things in each list: {name: (path, ids in the order of creation)}."""
    org = server.api(server.jwt("org_" + "0" * 24 + "PGN"))
    apps = [org.new_app() for _ in range(5)]
    home = apps[0]
    kinds = [org.new_event_type(f"kind.{letter}")["name"] for letter in "abcde"]
    # An endpoint that nobody listens at is not needed: loopback port 9 refuses at once.
    endpoints = [org.new_endpoint(home, "http://127.0.0.1:9/", disabled=n > 0) for n in range(5)]
    messages = [org.send(home, {"n": n}) for n in range(5)]
    for message in messages:
        org.wait_final(home, message, endpoints[0])
    attempts = [row["id"] for row in org.wait_attempts(home, messages[0], 3)]
    root = f"/app/{home['id']}"
    return org, {
        "applications": ("/app", [app["id"] for app in apps], "ascending"),
        "event types": ("/event-type", kinds, "ascending"),
        "endpoints": (f"{root}/endpoint", [row["id"] for row in endpoints], "descending"),
        "messages": (f"{root}/msg", [row["id"] for row in messages], "descending"),
        "attempts": (f"{root}/attempt/msg/{messages[0]['id']}", attempts, "descending"),
        "attempted messages": (
            f"{root}/endpoint/{endpoints[0]['id']}/msg",
            [row["id"] for row in messages],
            "descending",
        ),
    }


NAMES = ["applications", "event types", "endpoints", "messages", "attempts", "attempted messages"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limit", [1, 2, 5, 250])
def test_forwards(lists, name, limit):
    org, table = lists
    path, made, order = table[name]
    expected = made if order == "ascending" else made[::-1]
    pages = walk(org, path, limit)
    assert [row for page in pages for row in page] == expected
    assert all(0 < len(page) <= limit for page in pages)
    # `done` is known without an empty page at the end.
    assert len(pages) == -(-len(made) // limit)


@pytest.mark.parametrize("name", NAMES)
def test_backwards(lists, name):
    org, table = lists
    path, made, order = table[name]
    expected = made if order == "ascending" else made[::-1]
    last = expected[-1]
    back = org.ok("GET", path, params={"limit": 2, "iterator": "-" + last})
    assert [row.get("id") or row["name"] for row in back["data"]] == expected[-3:-1], "nearest rows, in list order"
    assert back["done"] is (len(expected) == 3)
    assert back["prevIterator"] == "-" + expected[-3]
    first = org.ok("GET", path, params={"limit": 2, "iterator": back["prevIterator"]})
    assert [row.get("id") or row["name"] for row in first["data"]] == expected[max(0, len(expected) - 5) : -3]
    assert first["done"] is True


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_where_it_begins_and_ends(lists, name):
    org, table = lists
    path, made, order = table[name]
    expected = made if order == "ascending" else made[::-1]
    page = org.ok("GET", path, params={"limit": 2})
    assert (page["iterator"], page["prevIterator"], page["done"]) == (expected[1], "-" + expected[0], False)
    whole = org.ok("GET", path)
    assert (whole["iterator"], whole["prevIterator"], whole["done"]) == (expected[-1], "-" + expected[0], True)


@pytest.mark.parametrize("name, order", [("applications", "descending"), ("endpoints", "ascending")])
def test_the_other_order(lists, name, order):
    org, table = lists
    path, made, _ = table[name]
    expected = made if order == "ascending" else made[::-1]
    assert [row for page in walk(org, path, 2, order=order) for row in page] == expected


def test_an_empty_list(org):
    for path in ("/app", "/event-type"):
        assert org.ok("GET", path) == {"data": [], "iterator": None, "done": True}
    app = org.new_app()
    for path in (f"/app/{app['id']}/endpoint", f"/app/{app['id']}/msg"):
        assert org.ok("GET", path) == {"data": [], "iterator": None, "done": True}


@pytest.mark.parametrize("name", NAMES)
def test_limits(lists, name):
    org, table = lists
    path = table[name][0]
    assert org.get(path, params={"limit": 250}).status_code == 200
    for limit in ("251", "100000"):
        item = is_invalid(org.get(path, params={"limit": limit}), "query", "limit")
        assert item["msg"] == "Given limit must not exceed 250"
    for limit in ("x", "-1", "1.5", "99999999999999999999", ""):
        is_error(org.get(path, params={"limit": limit}), 400, "generic_error")


def test_the_default_limit_is_50(org):
    for _ in range(51):
        org.new_app()
    page = org.ok("GET", "/app")
    assert len(page["data"]) == 50 and page["done"] is False


@pytest.mark.parametrize("name", [n for n in NAMES if n != "event types"])
@pytest.mark.parametrize("iterator", ["x", "-x", "msg_", "app_!!!", "zz_" + "0" * 27, "-", "atmpt_" + "z" * 27])
def test_iterators_of_a_wrong_shape(lists, name, iterator):
    org, table = lists
    is_invalid(org.get(table[name][0], params={"iterator": iterator}), "query", "iterator")


def test_a_wrong_order(lists):
    org, table = lists
    is_error(org.get("/app", params={"order": "sideways"}), 400, "generic_error")


def test_rows_made_meanwhile_do_not_disturb(org):
    app = org.new_app()
    made = [org.send(app)["id"] for _ in range(4)]
    first = org.ok("GET", f"/app/{app['id']}/msg", params={"limit": 2})
    org.send(app)
    second = org.ok("GET", f"/app/{app['id']}/msg", params={"limit": 2, "iterator": first["iterator"]})
    assert [row["id"] for row in first["data"] + second["data"]] == made[::-1]
