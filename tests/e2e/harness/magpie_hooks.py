# SPDX-License-Identifier: Apache-2.0
"""Configured hooks of the magpie surface: files of them, and events sent as the surface emits them."""

import json

SAMPLE = {
    "create_user": {"user.name": "ann", "user.id": 7, "user.email": "ann@example.com",
                    "callback_url": "http://127.0.0.1:1/tmp/x"},
    "delete_user": {"user.name": "ann", "user.id": 7, "user.email": "ann@example.com"},
    "update_user_status": {"user.name": "ann", "user.id": 7, "user.status": 1,
                           "callback_url": "http://127.0.0.1:1/tmp/x"},
}
APP = {"id": "magpie"}


def hook(name, url, action="create_user", method="POST", **more):
    return {"name": name, "action": action, "method": method, "url": url, **more}


def write(path, *hooks):
    """JSON is YAML; the style of deployments is in the tests that are about it. Nobody reads half of it."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"webhooks": list(hooks)}))
    part.replace(path)
    return path


def emit(api, action="create_user", user=None, **params):
    """An event of the application, as the surface emits it, through the native API."""
    body = {"eventType": f"magpie.{action}",
            "payload": {"action": action, "params": {**SAMPLE.get(action, {}), **params}}}
    if user is not None:
        body["channels"] = [f"user.{user}"]
    return api.ok("POST", "/app/magpie/msg", body, 202)


def endpoints(api):
    """The endpoints of all hooks by their names."""
    rows = api.ok("GET", "/app/magpie/endpoint", params={"limit": 250})["data"]
    return {row["description"]: row for row in rows}
