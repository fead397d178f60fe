# SPDX-License-Identifier: Apache-2.0
"""The server against its own description: schemathesis makes requests of /openapi.json, valid ones, ones at the
limits and wrong ones, and no answer may be a 5xx or anything that the document does not promise. For a longer search:
POSTHORN_PROPERTY_EXAMPLES=500 POSTHORN_PROPERTY_SEED=7 tests/e2e/run test_properties.py."""

import copy
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from harness.api import unique
from harness.server import clean_environment
from harness.wait import SLOWNESS, net

HERE = Path(__file__).resolve().parent
# A longer search may take as long as it wants to.
LIMIT_S = 7200 if "POSTHORN_PROPERTY_EXAMPLES" in os.environ else 500 * SLOWNESS
SANITIZED = bool(os.environ.get("POSTHORN_SANITIZED"))
# Its answers do not end.
EXCLUDED = {"v1.message.stream"}
# Only for the tokens of applications; the run has the organisation's.
WITHOUT_SUCCESS = {"v1.authentication.logout"}


SCHEMA = {"type": "object", "examples": [{"runId": "918"}]}
# With every member that answers have.
RICH = {
    "description": "rich",
    "eventTypes": ["job.completed"],
    "channels": ["prod"],
    "throttleRate": 5000,
    "metadata": {"k": "v"},
    "headers": {"x-plain": "1", "authorization": "secret"},
    "timeoutMs": 20000,
    "retrySchedule": [0.5, 1],
    "maxInFlight": 9,
    "ordering": "key",
    "compression": "gzip",
    "signature": {"scheme": "hmac-sha256", "header": "x-signature", "encoding": "base64", "prefix": "sha256="},
    "filter": "true",
    "transform": "{body: .data}",
    "auth": {"type": "basic", "username": "u", "password": "p"},
}
TOKENS = {"type": "oauth2", "tokenUrl": "https://127.0.0.1:9/", "clientId": "c", "clientSecret": "s", "scopes": "a b"}


def operations_of(document):
    """(path, method, operation) of each, in the order of the document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def only_built(document):
    """The document without what answers 501 to everything."""
    document = copy.deepcopy(document)
    for path, method, operation in list(operations_of(document)):
        if "x-not-implemented" in operation or operation["operationId"] in EXCLUDED:
            del document["paths"][path][method]
    document["paths"] = {path: methods for path, methods in document["paths"].items() if methods}
    return document


def referred(document, value, found):
    """The names of the schemas that `value` reaches."""
    if isinstance(value, dict):
        pointer = value.get("$ref", "")
        section, _, name = pointer.removeprefix("#/components/").partition("/")
        if pointer and (section, name) not in found:
            found.add((section, name))
            referred(document, document["components"][section][name], found)
        for member in value.values():
            referred(document, member, found)
    elif isinstance(value, list):
        for member in value:
            referred(document, member, found)
    return found


def close(schema):
    """Forbid the members that a schema does not name."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for key, member in schema.items():
            if key not in ("examples", "default", "enum"):
                close(member)
    elif isinstance(schema, list):
        for member in schema:
            close(member)


def strict(document):
    """Clients must bear new members in answers, so the document allows them; here each has to be described."""
    document = copy.deepcopy(document)
    asked, answered = set(), set()
    for _, _, operation in operations_of(document):
        referred(document, operation.get("requestBody", {}), asked)
        referred(document, operation["responses"], answered)
    for section, name in answered - asked:
        if section == "schemas":
            close(document["components"]["schemas"][name])
    return document


class Garden:
    """Rows for the path parameters: those that are read, and for what deletes a few of its own."""

    def __init__(self, api, receiver, document):
        self.api = api
        self.receiver = receiver
        self.built = {operation["operationId"] for _, _, operation in operations_of(document)}
        self.app = api.new_app(uid="property", throttleRate=5000, metadata={"k": "v"})
        self.other = api.new_app(uid="garden")
        self.values = {}
        api.new_event_type("job.completed", schemas={"1": SCHEMA}, featureFlags=["a", "b"], groupName="jobs")
        endpoint = api.new_endpoint(self.app, receiver.url("/" + unique("property")), uid="rich", **RICH)
        api.new_endpoint(self.app, receiver.url("/off"), disabled=True, auth=TOKENS)
        api.send(self.app, deliverAt=(datetime.now(timezone.utc) + timedelta(days=1)).isoformat())
        message = api.send(self.app, event_type="job.completed", channels=["prod"], tags=["t"], eventId="rich")
        attempt = api.wait_attempts(self.app, message)[0]
        self.put("", app_id=[self.app["id"], "property"], event_type_name=["job.completed"])
        self.put("", endpoint_id=[endpoint["id"]], msg_id=[message["id"]], attempt_id=[attempt["id"]])
        self.plant_others()
        self.plant_victims()

    def put(self, operation, **values):
        self.values.setdefault(operation, {}).update(values)

    def new_endpoint(self, app):
        return self.api.new_endpoint(app, self.receiver.url("/" + unique("property")))

    def make(self, operation, path, body):
        """Something of a kind that may not be built; gives its id or None."""
        return self.api.ok("POST", path, body, 201)["id"] if operation in self.built else None

    def plant_others(self):
        app = f"/app/{self.app['id']}"
        url = self.receiver.url("/operational")
        for name, operation, path, body in (
            ("integ_id", "v1.integration.create", app + "/integration", {"name": "i"}),
            ("sink_id", "v1.sink.create", app + "/sink", {"type": "poller"}),
            ("hook", "v1.operational-webhook.endpoint.create", "/operational-webhook/endpoint", {"url": url}),
        ):
            made = [self.make(operation, path, body)]
            if made != [None] and name != "hook":
                self.put("", **{name: made})
            elif made != [None]:
                for built in self.built:
                    if built.startswith("v1.operational-webhook."):
                        self.put(built, endpoint_id=made)

    def plant_victims(self):
        """What changes URLs does so in an application without messages, and deletes have rows of their own."""
        gone = [self.new_endpoint(self.other)["id"] for _ in range(4)]
        kept = [self.new_endpoint(self.other)["id"] for _ in range(4)]
        for operation in ("create", "update", "patch", "rotate-secret", "update-headers", "patch-headers"):
            self.put(f"v1.endpoint.{operation}", app_id=[self.other["id"]], endpoint_id=kept)
        self.put("v1.endpoint.transformation.patch", app_id=[self.other["id"]], endpoint_id=kept)
        self.put("v1.endpoint.delete", app_id=[self.other["id"]], endpoint_id=gone)
        changed = self.api.new_event_type()["name"]
        for operation in ("update", "patch"):
            self.put(f"v1.application.{operation}", app_id=[self.other["id"]])
            self.put(f"v1.event-type.{operation}", event_type_name=[changed])
        self.put("v1.application.delete", app_id=[self.api.new_app()["id"] for _ in range(4)])
        names = [self.api.new_event_type()["name"] for _ in range(4)]
        self.put("v1.event-type.delete", event_type_name=names)
        message = self.api.send(self.app, event_type="job.completed", channels=["prod"])
        attempt = self.api.wait_attempts(self.app, message)[0]
        self.put("v1.message.expunge-content", msg_id=[message["id"]])
        self.put("v1.message-attempt.expunge-content", msg_id=[message["id"]], attempt_id=[attempt["id"]])
        app = f"/app/{self.app['id']}"
        for kind, name, path, body in (
            ("integration", "integ_id", app + "/integration", {"name": "victim"}),
            ("sink", "sink_id", app + "/sink", {"type": "poller"}),
        ):
            made = [self.make(f"v1.{kind}.create", path, body) for _ in range(4)]
            if made[0]:
                self.put(f"v1.{kind}.delete", **{name: made})


def run(server, document, garden, folder):
    (folder / "openapi.json").write_text(json.dumps(strict(document)))
    (folder / "facts.json").write_text(json.dumps({"receiver": garden.receiver.url(""), "values": garden.values}))
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "properties.toml"), "run"]
    command += [str(folder / "openapi.json"), "--url", server.url, "-H", f"Authorization: Bearer {server.org_token}"]
    command += ["--report", "ndjson", "--report-ndjson-path", str(folder / "events")]
    if SANITIZED:
        command += ["--phases", "coverage"]
    for option, variable in (("--max-examples", "EXAMPLES"), ("--seed", "SEED")):
        value = os.environ.get(f"POSTHORN_PROPERTY_{variable}")
        command += [option, value] if value else []
    facts = {"PYTHONPATH": str(HERE / "harness"), "PROPERTIES_FACTS": str(folder / "facts.json")}
    environment = clean_environment(facts)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)


def successes(events):
    """The operations, as "GET /path", that were answered as their users hope."""
    found = set()
    for line in events.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for interaction in recorder.get("interactions", {}).values():
            if 200 <= (interaction.get("response") or {}).get("status_code", 0) < 400:
                found.add(recorder["label"])
    return found


@pytest.mark.timeout(LIMIT_S + 60)
def test_every_answer_is_as_described(server, api, receiver, tmp_path):
    document = only_built(httpx.get(server.url + "/openapi.json", trust_env=False, timeout=net(5)).json())
    garden = Garden(api, receiver, document)
    done = run(server, document, garden, tmp_path)
    print(done.stdout[-20000:], done.stderr[-4000:])
    assert done.returncode == 0
    wanted = {
        f"{method.upper()} {path}"
        for path, method, operation in operations_of(document)
        if operation["operationId"] not in WITHOUT_SUCCESS
    }
    assert wanted - successes(tmp_path / "events") == set()
