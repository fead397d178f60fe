# SPDX-License-Identifier: Apache-2.0
"""W3C Trace Context: a publisher's traceparent reaches the endpoints with a span for each attempt, and the log."""

import re

import pytest
from harness.receiver import Reply
from harness.server import Server
from harness.wait import wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = re.compile(rf"00-{TRACE}-([0-9a-f]{{16}})-(0[01])")


@pytest.fixture(scope="module")
def traced():
    with Server({"log_level": "debug", "retry_jitter": "0"}) as running:
        yield running


def send(api, app, *values):
    headers = [("traceparent", value) for value in values]
    # httpx takes a list, so that a header can come twice.
    content = b'{"eventType": "test.event", "payload": {"n": 1}}'
    token = [("Authorization", f"Bearer {api.token}"), ("Content-Type", "application/json")]
    url = f"{api._server.url}/api/v1/app/{app['id']}/msg"
    response = api._http.request("POST", url, content=content, headers=token + headers)
    assert response.status_code == 202, response.text
    return response.json()


@pytest.mark.smoke
@pytest.mark.parametrize("flags", ["00", "01"])
def test_each_attempt_has_a_span_of_its_own(traced, receiver, path, flags):
    api = traced.api()
    app = api.new_app()
    receiver.script(path, Reply(500), Reply(200))
    api.new_endpoint(app, receiver.url(path))
    message = send(api, app, f"00-{TRACE}-{SPAN}-{flags}")
    api.wait_attempts(app, message, 2)
    found = [PARENT.fullmatch(request.header("traceparent")) for request in receiver.requests(path)]
    assert all(found) and {match.group(2) for match in found} == {flags}
    spans = [match.group(1) for match in found]
    assert len(set(spans)) == 2 and SPAN not in spans and "0" * 16 not in spans

    def lines():
        return [line for line in traced.log().splitlines() if message["id"] in line and "attempt " in line]

    wait_for(lambda: len(lines()) == 2, 5, lines)
    assert all(f"trace_id={TRACE}" in line for line in lines()), lines()
    assert any("request served" in line and f"trace_id={TRACE}" in line for line in traced.log().splitlines())


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["nonsense"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"],
    ],
)
def test_without_a_valid_one_there_is_none(traced, receiver, path, values):
    api = traced.api()
    app = api.new_app()
    api.new_endpoint(app, receiver.url(path))
    message = send(api, app, *values)
    assert receiver.wait_message(message["id"], path)[0].header("traceparent") is None
    api.wait_attempts(app, message)
    lines = wait_for(lambda: [s for s in traced.log().splitlines() if message["id"] in s and "attempt " in s], 5)
    assert all("trace_id" not in line for line in lines)


def test_an_endpoint_may_have_its_own(traced, receiver, path):
    api = traced.api()
    app = api.new_app()
    own = f"00-{'a' * 32}-{'b' * 16}-00"
    api.new_endpoint(app, receiver.url(path), headers={"Traceparent": own})
    message = send(api, app, f"00-{TRACE}-{SPAN}-01")
    assert receiver.wait_message(message["id"], path)[0].header("traceparent") == own


@pytest.mark.smoke
def test_it_outlives_the_process(receiver, path):
    """A retry after a crash, and a resend by hand, belong to the trace too."""
    with Server({"retry_schedule": "0.5", "retry_jitter": "0"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = send(api, app, f"00-{TRACE}-{SPAN}-01")
        api.wait_attempts(app, message)
        server.kill()
        server.start()
        api.wait_final(app, message, endpoint)
        api.ok("POST", f"/app/{app['id']}/msg/{message['id']}/endpoint/{endpoint['id']}/resend", None, 202)
        requests = receiver.wait_message(message["id"], path, 3)
        spans = {PARENT.fullmatch(request.header("traceparent")).group(1) for request in requests}
        assert len(spans) == len(requests)
