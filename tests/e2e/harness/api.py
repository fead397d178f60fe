# SPDX-License-Identifier: Apache-2.0
"""A thin client of the native API. It adds the token, checks nothing by itself and gives the raw response back;
the helpers at the end make the things that most tests need."""

import itertools
import json
import re

import httpx

from .wait import net, wait_for

DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$")


def id_pattern(prefix):
    return re.compile(rf"^{prefix}_[0-9A-Za-z]{{27}}$")


APP_ID, EP_ID, MSG_ID, ATTEMPT_ID = (id_pattern(p) for p in ("app", "ep", "msg", "atmpt"))

SUCCESS, PENDING, FAIL, SENDING = 0, 1, 2, 3

_numbers = itertools.count(1)


def unique(word="x"):
    """A name that no other test of this process uses."""
    return f"{word}-{next(_numbers)}"


class Api:
    def __init__(self, server, token):
        self._server = server
        self.token = token
        self._http = httpx.Client(timeout=net(30), trust_env=False)

    def close(self):
        self._http.close()

    def request(self, method, path, body=None, *, content=None, headers=None, params=None):
        """`body` is sent as JSON; `content` as it is. A path that does not start with /api gets /api/v1 in front."""
        url = self._server.url + (path if path.startswith("/api/") else "/api/v1" + path)
        all_headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            content = json.dumps(body).encode()
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        return self._http.request(method, url, content=content, headers=all_headers, params=params)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, body, **kwargs)

    def put(self, path, body=None, **kwargs):
        return self.request("PUT", path, body, **kwargs)

    def patch(self, path, body=None, **kwargs):
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)

    # ---- the same with the expected status, giving the parsed body ----

    def ok(self, method, path, body=None, status=200, **kwargs):
        response = self.request(method, path, body, **kwargs)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:600]}"
        return response.json() if response.content else None

    # ---- makers ----

    def new_app(self, **fields):
        return self.ok("POST", "/app", {"name": unique("app"), **fields}, 201)

    def new_endpoint(self, app, url, **fields):
        return self.ok("POST", f"/app/{app['id']}/endpoint", {"url": url, **fields}, 201)

    def secret(self, app, endpoint):
        return self.ok("GET", f"/app/{app['id']}/endpoint/{endpoint['id']}/secret")["key"]

    def new_event_type(self, name=None, **fields):
        body = {"name": name or unique("type"), "description": "a type", **fields}
        return self.ok("POST", "/event-type", body, 201)

    def send(self, app, payload=None, event_type="test.event", **fields):
        body = {"eventType": event_type, "payload": {"n": 1} if payload is None else payload, **fields}
        return self.ok("POST", f"/app/{app['id']}/msg", body, 202)

    def send_text(self, app, payload_text, event_type="test.event"):
        """Send a message whose payload is exactly this text."""
        content = b'{"eventType": "%s", "payload": %s}' % (event_type.encode(), payload_text)
        return self.ok("POST", f"/app/{app['id']}/msg", None, 202, content=content)

    # ---- attempts ----

    def attempts(self, app, message, **params):
        """The attempts of a message, newest first."""
        return self.ok("GET", f"/app/{app['id']}/attempt/msg/{message['id']}", params=params)["data"]

    def wait_attempts(self, app, message, count=1, timeout=10.0, **params):
        """The attempts of a message in the order in which they were made, as soon as there are at least `count`."""
        last = []

        def enough():
            last[:] = self.attempts(app, message, **params)
            return len(last) >= count

        wait_for(enough, timeout, lambda: f"{count} recorded attempts of {message['id']}; there are {last}")
        return last[::-1]

    def destination(self, app, message, endpoint):
        """How a message stands at one endpoint (an item of the attempted destinations), or None."""
        rows = self.ok("GET", f"/app/{app['id']}/msg/{message['id']}/endpoint")["data"]
        return next((row for row in rows if row["id"] == endpoint["id"]), None)

    def wait_final(self, app, message, endpoint, timeout=15.0):
        """The attempts of a finished delivery in the order in which they were made."""
        last = []

        def final():
            last[:] = [self.destination(app, message, endpoint)]
            row = last[0]
            return row is not None and row["status"] in (SUCCESS, FAIL) and row.get("nextAttempt") is None

        wait_for(final, timeout, lambda: f"{message['id']} to reach its end; it stands at {last}")
        return self.attempts(app, message, endpoint_id=endpoint["id"])[::-1]

    # ---- explain ----

    def explain(self, app, message, **params):
        """What became of a message, by endpoint id."""
        rows = self.ok("GET", f"/app/{app['id']}/msg/{message['id']}/explain", params=params)["data"]
        return {row["endpointId"]: row for row in rows}

    def wait_explained(self, app, message, endpoint, decision, reason, timeout=10.0):
        """The explanation for one endpoint as soon as it is this decision with this reason."""
        last = []

        def explained():
            last[:] = [self.explain(app, message).get(endpoint["id"])]
            row = last[0]
            return row if row is not None and (row["decision"], row["reason"]) == (decision, reason) else None

        return wait_for(explained, timeout, lambda: f"{message['id']} to be {decision}, {reason}; it is {last}")


# ---- checks of error answers ----


def is_error(response, status, code, detail=None):
    """Assert the {"code","detail"} envelope."""
    assert response.status_code == status, f"{response.status_code} {response.text[:600]}"
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body = response.json()
    assert set(body) == {"code", "detail"}, body
    assert body["code"] == code, body
    if detail is None:
        assert isinstance(body["detail"], str) and body["detail"], body
    else:
        assert body["detail"] == detail, body
    return body


def is_invalid(response, *loc, kind=None, msg=None):
    """Assert a 422 whose first item points at `loc`. Field names are compared without case and underscores, because the
    original names the field as its code does (throttle_rate) and not as the wire does (throttleRate)."""
    assert response.status_code == 422, f"{response.status_code} {response.text[:600]}"
    assert response.headers["content-type"].split(";")[0] == "application/json"
    items = response.json()["detail"]
    assert isinstance(items, list) and items
    for item in items:
        assert set(item) == {"loc", "msg", "type"}, item
        assert all(isinstance(part, str) for part in item["loc"]), item
        assert isinstance(item["msg"], str) and item["msg"], item
    first = items[0]
    plain = [part.replace("_", "").lower() for part in first["loc"]]
    wanted = [part.replace("_", "").lower() for part in loc]
    assert plain[: len(wanted)] == wanted, first
    if kind is not None:
        assert first["type"] == kind, first
    if msg is not None:
        assert first["msg"] == msg, first
    return first
