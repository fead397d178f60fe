# SPDX-License-Identifier: Apache-2.0
"""What a receiver sees of a delivery that works: bytes, headers, signatures, connections, rates."""

import base64
import threading

import pytest
import standardwebhooks
import svix.webhooks
from harness import signatures
from harness.api import FAIL, SUCCESS
from harness.receiver import Receiver, Reply
from harness.server import Server
from harness.wait import SLOWNESS, wait_for

PAYLOADS = {
    "key order": b'{"b":1,"a":2,"c":{"z":1,"y":2}}',
    "whitespace": b'{ "a" :\t1 ,\r\n  "b":[ 1,2 , 3 ]\n}',
    "numbers": b'{"a":1.10,"b":1e2,"c":-0,"d":12345678901234567890,"e":1E400}',
    "escapes": b'{"\\u0061":"\\/\\u00e9\\ud83d\\ude00\\n"}',
    "unicode": '{"ключ":"значение ✓ 😀"}'.encode(),
    "empty": b"{}",
    "repeated keys": b'{"a":1,"a":2}',
    "braces in text": b'{"a":"}{\\"}","b":"]["}',
    "the word payload": b'{"payload":{"eventType":"x","payload":1}}',
    "large": b'{"x":"' + b"y" * 1000000 + b'"}',
}


@pytest.fixture
def endpoint(api, app, receiver, path):
    return api.new_endpoint(app, receiver.url(path))


def deliver(api, app, receiver, path, message=None):
    """Send (unless given) and return the request that came for it."""
    message = message or api.send(app)
    return receiver.wait_message(message["id"], path)[0]


@pytest.mark.smoke
@pytest.mark.parametrize("text", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_the_bytes_of_the_payload(api, app, endpoint, receiver, path, text):
    request = deliver(api, app, receiver, path, api.send_text(app, text))
    assert request.body == text
    assert request.header("content-length") == str(len(text))
    assert signatures.verifies(api.secret(app, endpoint), request)


@pytest.mark.smoke
def test_the_payload_after_other_keys(api, app, endpoint, receiver, path):
    content = b'{ "payload" : {"a": 1 } , "eventType":"x","channels":null, "nonsense":{"payload":{"b":2}} }'
    message = api.ok("POST", f"/app/{app['id']}/msg", None, 202, content=content)
    assert deliver(api, app, receiver, path, message).body == b'{"a": 1 }'


@pytest.mark.smoke
def test_a_raw_payload(api, app, endpoint, receiver, path):
    message = api.send(app, {}, transformationsParams={"rawPayload": 'plain "text" ✓\n'})
    request = deliver(api, app, receiver, path, message)
    assert request.body == 'plain "text" ✓\n'.encode()
    assert signatures.verifies(api.secret(app, endpoint), request)


@pytest.mark.smoke
def test_request_line_and_headers(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path) + "?q=1&r=%20")
    request = deliver(api, app, receiver, path)
    assert (request.method, request.version) == ("POST", "HTTP/1.1")
    assert request.target == path + "?q=1&r=%20"
    assert request.header("host") == f"127.0.0.1:{receiver.port}"
    assert request.header("accept") == "*/*"
    assert request.header("content-type") == "application/json"
    assert request.header("user-agent")
    assert request.headers[0][0].lower() == "host"
    assert request.header("expect") is None and request.header("transfer-encoding") is None


@pytest.mark.smoke
def test_both_sets_of_signature_headers(api, app, endpoint, receiver, path):
    message = api.send(app)
    request = deliver(api, app, receiver, path, message)
    for part in ("id", "timestamp", "signature"):
        assert request.header(f"webhook-{part}") == request.header(f"svix-{part}") is not None, part
    assert request.header("webhook-id") == message["id"]
    assert abs(int(request.header("webhook-timestamp")) - request.wall) <= 60, "it is in seconds"
    assert [version for version, _ in signatures.signatures(request)] == ["v1"]
    secret = api.secret(app, endpoint)
    assert signatures.verifies(secret, request, "webhook") and signatures.verifies(secret, request, "svix")


@pytest.mark.parametrize("prefix, other", [("webhook", "svix"), ("svix", "webhook")])
def test_one_set_when_asked(receiver, path, prefix, other):
    with Server({"signature_headers": prefix}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        request = deliver(api, app, receiver, path)
        assert signatures.verifies(api.secret(app, endpoint), request, prefix)
        for part in ("id", "timestamp", "signature"):
            assert request.header(f"{other}-{part}") is None


@pytest.mark.smoke
def test_official_verifiers_accept_it(api, app, endpoint, receiver, path):
    request = deliver(api, app, receiver, path)
    secret = api.secret(app, endpoint)
    for secret_text in (secret, secret.removeprefix("whsec_")):
        standardwebhooks.Webhook(secret_text).verify(request.body, request.header_map)
        svix.webhooks.Webhook(secret_text).verify(request.body, request.header_map)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(request.body + b" ", request.header_map)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(signatures.new_symmetric()).verify(request.body, request.header_map)


@pytest.mark.smoke
def test_an_asymmetric_signature(api, app, receiver, path):
    secret, public = signatures.new_asymmetric()
    api.new_endpoint(app, receiver.url(path), secret=secret)
    request = deliver(api, app, receiver, path)
    assert [version for version, _ in signatures.signatures(request)] == ["v1a"]
    assert signatures.verifies(public, request)
    assert not signatures.verifies(signatures.new_asymmetric(8)[1], request)


def test_generated_keys_may_be_asymmetric(receiver, path):
    with Server({"default_signature_type": "ed25519"}) as server:
        api = server.api()
        app = api.new_app()
        endpoint = api.new_endpoint(app, receiver.url(path))
        public = api.secret(app, endpoint)
        assert public.startswith("whpk_") and len(base64.b64decode(public[5:], validate=True)) == 32
        assert signatures.verifies(public, deliver(api, app, receiver, path))


@pytest.mark.smoke
def test_every_valid_secret_signs_during_the_overlap(api, app, endpoint, receiver, path):
    rotate = f"/app/{app['id']}/endpoint/{endpoint['id']}/secret/rotate"
    first = api.secret(app, endpoint)
    assert api.post(rotate, {"gracePeriodSeconds": 3600}).status_code in (200, 204)
    second = api.secret(app, endpoint)
    request = deliver(api, app, receiver, path)
    assert signatures.position_of(second, request) == 0, "the current key comes first"
    assert signatures.position_of(first, request) == 1
    assert len(signatures.signatures(request)) == 2

    private, third = signatures.new_asymmetric()
    assert api.post(rotate, {"key": private, "gracePeriodSeconds": 3600}).status_code in (200, 204)
    request = deliver(api, app, receiver, path)
    assert signatures.position_of(third, request) == 0
    assert {signatures.position_of(key, request) for key in (first, second)} == {1, 2}
    assert [version for version, _ in signatures.signatures(request)] == ["v1a", "v1", "v1"]

    # Without a grace period the key just replaced is gone at once; older ones keep their own time.
    assert api.post(rotate, {"gracePeriodSeconds": 0}).status_code in (200, 204)
    request = deliver(api, app, receiver, path)
    assert signatures.position_of(api.secret(app, endpoint), request) == 0
    assert signatures.position_of(third, request) is None


def test_an_old_secret_expires(api, app, endpoint, receiver, path):
    first = api.secret(app, endpoint)
    rotate = f"/app/{app['id']}/endpoint/{endpoint['id']}/secret/rotate"
    assert api.post(rotate, {"gracePeriodSeconds": 1}).status_code in (200, 204)
    second = api.secret(app, endpoint)

    def expired():
        request = deliver(api, app, receiver, path)
        assert signatures.verifies(second, request)
        return not signatures.verifies(first, request)

    wait_for(expired, 10, "the old secret to stop signing")


@pytest.mark.smoke
def test_id_stays_and_timestamp_moves(receiver, path):
    with Server({"retry_schedule": "1.5"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path, Reply(500), Reply(200))
        endpoint = api.new_endpoint(app, receiver.url(path))
        message = api.send(app)
        first, second = receiver.wait_message(message["id"], path, 2)
        assert first.body == second.body
        assert int(second.header("webhook-timestamp")) > int(first.header("webhook-timestamp"))
        secret = api.secret(app, endpoint)
        assert signatures.verifies(secret, first) and signatures.verifies(secret, second)


@pytest.mark.smoke
def test_custom_headers(api, app, endpoint, receiver, path):
    url = f"/app/{app['id']}/endpoint/{endpoint['id']}/headers"
    custom = {"X-MiXed-Case": "kept as given", "Authorization": "Token abc", "Accept": "application/x-own"}
    api.ok("PUT", url, {"headers": custom}, 204)
    request = deliver(api, app, receiver, path)
    assert ("X-MiXed-Case", "kept as given") in request.headers
    assert request.header("authorization") == "Token abc"
    assert request.header("accept") == "application/x-own", "it replaces the built-in one"
    assert signatures.verifies(api.secret(app, endpoint), request)
    api.ok("PATCH", url, {"headers": {"X-MiXed-Case": None}}, 204)
    assert deliver(api, app, receiver, path).header("x-mixed-case") is None


@pytest.mark.smoke
def test_user_and_password_in_the_url(api, app, receiver, path):
    url = f"http://ann:s%40cret@127.0.0.1:{receiver.port}{path}"
    endpoint = api.new_endpoint(app, url)
    request = deliver(api, app, receiver, path)
    assert request.header("authorization") == "Basic " + base64.b64encode(b"ann:s@cret").decode()
    api.ok("PUT", f"/app/{app['id']}/endpoint/{endpoint['id']}/headers", {"headers": {"Authorization": "Own"}}, 204)
    assert deliver(api, app, receiver, path).header("authorization") == "Own"


@pytest.mark.smoke
def test_a_url_change_is_used_at_once(api, app, endpoint, receiver, path):
    deliver(api, app, receiver, path)
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"url": receiver.url(path + "-new")})
    request = deliver(api, app, receiver, path + "-new")
    assert request.path == path + "-new" and len(receiver.requests(path)) == 1


STATUSES = {200: SUCCESS, 201: SUCCESS, 202: SUCCESS, 204: SUCCESS, 226: SUCCESS, 299: SUCCESS}
FAILURES = (300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504, 599)
STATUSES.update({code: FAIL for code in FAILURES})


@pytest.mark.smoke
def test_only_2xx_is_success(api, app, receiver, path):
    endpoints = {}
    for status in STATUSES:
        receiver.script(f"{path}-{status}", Reply(status))
        endpoints[status] = api.new_endpoint(app, receiver.url(f"{path}-{status}"))
    message = api.send(app)
    for status, expected in STATUSES.items():
        attempts = api.wait_final(app, message, endpoints[status])
        assert {(a["responseStatusCode"], a["status"]) for a in attempts} == {(status, expected)}
        assert len(attempts) == (1 if expected == SUCCESS else 3), status


@pytest.mark.smoke
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(api, app, receiver, path, status):
    target = path + "-target"
    receiver.script(path, Reply(status, [("Location", receiver.url(target))]))
    endpoint = api.new_endpoint(app, receiver.url(path))
    attempts = api.wait_final(app, api.send(app), endpoint)
    assert [a["status"] for a in attempts] == [FAIL] * 3
    assert receiver.requests(target) == []


@pytest.mark.smoke
def test_connections_are_kept(api, app, endpoint, receiver, path):
    receiver.script(path, Reply(200, body=b"x" * 30000))
    for _ in range(10):
        api.wait_final(app, api.send(app), endpoint)
    assert len({request.connection for request in receiver.requests(path)}) == 1


@pytest.mark.smoke
def test_a_connection_closed_by_the_receiver_is_no_failure(api, app, endpoint, receiver, path):
    """A kept connection may end at any time; the sender opens a new one without counting an attempt."""
    receiver.script(path, Reply(200, last=True))
    for _ in range(5):
        attempts = api.wait_final(app, api.send(app), endpoint)
        assert [a["status"] for a in attempts] == [SUCCESS]


# ---- rates ----


def in_any_second(times):
    """The greatest number of events in any window of one second."""
    return max(sum(1 for later in times if start <= later < start + 1.0) for start in times)


@pytest.mark.serial
@pytest.mark.parametrize("level", ["endpoint", "application"])
def test_the_throttle_rate_holds(api, receiver, path, level):
    """10 a second, one second's worth at once: 30 deliveries take two seconds, no second sees over 20."""

    def measure(path):
        app = api.new_app(**({"throttleRate": 10} if level == "application" else {}))
        fields = {"throttleRate": 10} if level == "endpoint" else {}
        endpoint = api.new_endpoint(app, receiver.url(path), **fields)
        messages = [api.send(app) for _ in range(30)]
        for message in messages:
            api.wait_final(app, message, endpoint, timeout=20)
        times = sorted(request.at for request in receiver.requests(path))
        assert len(times) == 30
        return times[-1] - times[0], in_any_second(times)

    # The receiver's clock is read late when the machine is busy; a rate that does not hold is wrong every time.
    seen = []
    for number in range(5):
        seen.append(measure(f"{path}/{number}"))
        took, most = seen[-1]
        if 1.8 <= took < 8 * SLOWNESS and most <= 21:
            return
    raise AssertionError(f"seconds for 30 deliveries, most in one second: {seen}")


def test_a_throttled_endpoint_does_not_hold_up_another(api, app, receiver, path):
    api.new_endpoint(app, receiver.url(path + "-slow"), throttleRate=1)
    fast = api.new_endpoint(app, receiver.url(path + "-fast"))
    messages = [api.send(app) for _ in range(20)]
    for message in messages:
        api.wait_final(app, message, fast)
    assert len(receiver.requests(path + "-slow")) < 20


def test_max_in_flight_holds(receiver, path):
    with Server({"max_in_flight": "4"}) as server:
        api = server.api()
        app = api.new_app()
        gate = threading.Event()
        receiver.script(path, Reply(200, delay=0.03, hold=gate))
        endpoint = api.new_endpoint(app, receiver.url(path))
        messages = [api.send(app) for _ in range(20)]
        wait_for(lambda: receiver.in_flight(path) == 4, 10, "as many attempts in flight as there may be")
        gate.set()
        messages += [api.send(app) for _ in range(60)]
        for message in messages:
            api.wait_final(app, message, endpoint, timeout=30)
        assert receiver.max_in_flight(path) == 4
        assert len(receiver.requests(path)) == 80


def test_a_hanging_endpoint_costs_its_neighbours_nothing(receiver, path):
    gate = threading.Event()
    with Server({"delivery_timeout": "300"}) as server:
        api = server.api()
        app = api.new_app()
        receiver.script(path + "-stuck", Reply(200, hold=gate))
        stuck = api.new_endpoint(app, receiver.url(path + "-stuck"))
        good = api.new_endpoint(app, receiver.url(path))
        messages = [api.send(app) for _ in range(200)]
        for message in messages:
            api.wait_final(app, message, good)
        hanging = receiver.requests(path + "-stuck")
        assert hanging and not any(request.answered_at for request in hanging), "it hangs all the time"
        gate.set()
        for message in messages:
            api.wait_final(app, message, stuck, timeout=30)
        assert len({request.message_id for request in receiver.requests(path + "-stuck")}) == 200


@pytest.mark.smoke
def test_no_proxy_of_the_environment_is_used(receiver, path):
    with Receiver() as proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        with Server(env={name: proxy.base for name in names}) as server:
            api = server.api()
            app = api.new_app()
            api.new_endpoint(app, receiver.url(path))
            deliver(api, app, receiver, path)
        assert proxy.connections == 0
