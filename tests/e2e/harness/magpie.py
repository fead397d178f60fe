# SPDX-License-Identifier: Apache-2.0
"""A thin client of the magpie surface, and the events that its changes cause."""

import itertools
import json
import re

import httpx

from .wait import net

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

_numbers = itertools.count(1)


def fresh(word="u"):
    """A name that fits every rule and that no other test of this process uses."""
    return f"{word}{next(_numbers)}"


def make_token(server, user, **flags):
    words = []
    for name, value in flags.items():
        words += ["--" + name.replace("_", "-"), value]
    done = server.run("token", "create", "--surface", "magpie", "--user", user, *words)
    assert done.stdout.count("\n") == 1 and done.stdout.strip(), done.stdout
    return done.stdout.strip()


class Magpie:
    """A client with a token (None: without). Cookies are kept, as a browser would."""

    def __init__(self, server, token=None, base=None):
        self.server = server
        self.token = token
        self.base = base or server.url + "/magpie"
        self.http = httpx.Client(timeout=net(30), trust_env=False)

    def request(self, method, path, body=None, *, form=None, content=None, headers=None, params=None):
        all_headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            content = json.dumps(body).encode()
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        return self.http.request(
            method, self.base + path, content=content, data=form, headers=all_headers, params=params
        )

    def ok(self, method, path, body=None, status=200, **kwargs):
        response = self.request(method, path, body, **kwargs)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:800]}"
        answer = response.json()
        assert answer["code"] == status and answer["type"] == "application/json" and answer["detail"], answer
        return answer

    def fails(self, method, path, body=None, status=400, param=None, **kwargs):
        response = self.request(method, path, body, **kwargs)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:800]}"
        return is_error(response, status, param)

    # ---- makers ----

    def user(self, name=None, **fields):
        name = name or fresh()
        body = {"user_name": name, "email": f"{name}@example.org", **fields}
        return self.ok("POST", "/users", body, 201)["user"]

    def group(self, name=None, **fields):
        return self.ok("POST", "/groups", {"group_name": name or fresh("g"), **fields}, 201)["group"]

    def service(self, kind="api", name=None, **fields):
        body = {"service_name": name or fresh("s"), "service_type": kind, "service_url": "http://h.example/x", **fields}
        return self.ok("POST", "/services", body, 201)["service"]

    def resource(self, parent, kind="route", name=None, **fields):
        body = {"resource_name": name or fresh("r"), "resource_type": kind, "parent_id": parent["resource_id"]}
        return self.ok("POST", "/resources", {**body, **fields}, 201)["resource"]

    # ---- events ----

    def messages(self, limit=250):
        """All that was told, the newest first: committed before the answer to what caused it."""
        answer = self.server.api().get("/app/magpie/msg", params={"limit": limit})
        return answer.json()["data"] if answer.status_code == 200 else []  # 404 before the first one

    def told(self):
        """A mark; calling it gives what was told since, oldest first, as (action, params)."""
        last = next((message["id"] for message in self.messages(1)), None)

        def since():
            found = []
            for message in self.messages():
                if message["id"] == last:
                    break
                payload = message["payload"]
                assert message["eventType"] == "magpie." + payload["action"]
                found.append((payload["action"], payload["params"]))
            return found[::-1]

        return since

    def status(self, name):
        return self.ok("GET", f"/users/{name}")["user"]["status"]


def is_error(response, status, param=None):
    """Assert the form of errors; gives the body."""
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body = response.json()
    assert body["code"] == status and body["type"] == "application/json" and body["detail"], body
    if param is not None:
        assert body["param"]["name"] == param, body
    return body


def rows(permissions):
    """A list of permissions as their explicit texts."""
    return sorted(f"{p['name']}-{p['access']}-{p['scope']}" for p in permissions)
