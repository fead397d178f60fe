# SPDX-License-Identifier: Apache-2.0
"""A thin client of the dbt surface: it adds the token and gives the raw response back."""

import hashlib
import hmac
import json
import re

import httpx

from .wait import net, wait_for

WSU = re.compile(r"^wsu_[0-9A-Za-z]{27}$")
WEV = re.compile(r"^wev_[0-9A-Za-z]{27}$")
WRC = re.compile(r"^wrc_[0-9A-Za-z]{27}$")
ACT = re.compile(r"^act_[0-9A-Za-z]{27}$")
MICROS = re.compile(r"^\d{16}$")
NANOS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")

NOT_FOUND = "The requested resource was not found. Please check that you have the proper permissions."
INVALID = "The request was invalid. Please double check the provided data and try again."

# A report of a run that is running, with what it must have and times.
RUN = {"job_id": 41, "job_name": "Daily", "environment_id": 72, "environment_name": "production", "project_id": 6,
       "project_name": "Acme", "dbt_version": "1.9.2", "reason": "cli", "status": 3,
       "started_at": "2024-05-06T07:08:09.25Z"}
FINISHED = "2024-05-06T07:09:10.75Z"

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def ksuid_seconds(text):
    """The Unix second in a KSUID, its prefix and all."""
    number = 0
    for digit in text.split("_", 1)[1]:
        number = number * 62 + DIGITS.index(digit)
    return (number >> 128) + 1400000000


def signature(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def make_token(server, account, *permissions, **flags):
    """A token's text; flags as `--account-name` = account_name."""
    words = []
    for permission in permissions or ("account_admin",):
        words += ["--permission", permission]
    for name, value in flags.items():
        words += ["--" + name.replace("_", "-"), value]
    done = server.run("token", "create", "--surface", "dbt", "--account", str(account), *words)
    assert done.stdout.count("\n") == 1 and done.stdout.strip(), done.stdout
    return done.stdout.strip()


class Dbt:
    """A client of one account. `base` is what stands before /api."""

    def __init__(self, server, account, token, base=None, scheme="Token"):
        self.server = server
        self.account = account
        self.token = token
        self.base = base or server.url + "/dbt"
        self.scheme = scheme
        self._http = httpx.Client(timeout=net(30), trust_env=False)

    def request(self, method, path, body=None, *, content=None, headers=None, params=None):
        """A path that begins with a slash is put behind the base, others behind the account's webhooks."""
        if not path.startswith("/"):
            path = f"/api/v3/accounts/{self.account}/webhooks/{path}"
        all_headers = {"Authorization": f"{self.scheme} {self.token}"} if self.token else {}
        if body is not None:
            content = json.dumps(body).encode()
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        return self._http.request(method, self.base + path, content=content, headers=all_headers, params=params)

    def ok(self, method, path, body=None, status=200, **kwargs):
        response = self.request(method, path, body, **kwargs)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text[:800]}"
        answer = response.json()
        assert answer["status"]["code"] == status, answer
        return answer

    def create(self, url, **fields):
        body = {"name": "hook", "client_url": url, "event_types": ["job.run.completed"], "active": True, **fields}
        return self.ok("POST", "subscriptions", body, 201)["data"]

    def get(self, webhook):
        return self.ok("GET", f"subscription/{webhook['id']}")["data"]

    def put(self, webhook, **fields):
        body = {key: webhook[key] for key in ("name", "client_url", "event_types", "active", "description", "job_ids")}
        return self.ok("PUT", f"subscription/{webhook['id']}", {**body, **fields})["data"]

    # ---- runs ----

    def run_path(self, run, rest=""):
        return f"/api/posthorn/accounts/{self.account}/runs/{run}{rest}"

    def report(self, run, **fields):
        """The response to a report; without fields of a run that is running."""
        return self.request("PUT", self.run_path(run), {**RUN, **fields})

    def reported(self, run, code=None, **fields):
        """A report that must be taken; gives the run."""
        response = self.report(run, **fields)
        assert response.status_code in ((200, 201) if code is None else (code,)), response.text[:800]
        return response.json()["data"]

    def upload(self, run, path, content, **kwargs):
        return self.request("PUT", self.run_path(run, f"/artifacts/{path}"), content=content, **kwargs)

    def uploaded(self, run, path, content, status=201):
        response = self.upload(run, path, content)
        assert response.status_code == status, response.text[:800]
        assert response.json()["data"]["path"] == path
        return response.json()["data"]

    def ingested(self, run, status=200):
        return self.ok("POST", self.run_path(run, "/ingested"), status=status)["data"]

    def extension(self, webhook, path):
        return f"/api/posthorn/accounts/{self.account}/subscriptions/{webhook['id']}/{path}"

    def wait_webhook(self, webhook, predicate, timeout=10.0):
        last = []

        def fits():
            last[:] = [self.get(webhook)]
            return predicate(last[0])

        wait_for(fits, timeout, lambda: f"the webhook is {last}")
        return last[0]


def is_error(response, status, data=None, user_message=None):
    """Assert the error envelope; gives the body."""
    assert response.status_code == status, f"{response.status_code} {response.text[:800]}"
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body = response.json()
    assert set(body) == {"status", "data"}, body
    assert set(body["status"]) == {"code", "is_success", "user_message", "developer_message"}, body
    assert body["status"]["code"] == status and body["status"]["is_success"] is False, body
    if user_message is not None:
        assert body["status"]["user_message"] == user_message, body
    if data is not None:
        assert body["data"] == data, body
    return body
