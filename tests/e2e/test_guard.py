# SPDX-License-Identifier: Apache-2.0
"""Where deliveries may go: the address guard, and TLS that is verified."""

import re
import socket

import pytest
from harness import signatures
from harness.api import FAIL, SUCCESS
from harness.h2server import Http2Receiver
from harness.receiver import Receiver, Reply, SilentListener
from harness.server import Server
from harness.tls import Authority
from harness.wait import wait_for

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def guarded():
    """A server as it comes: nothing private is allowed."""
    with Server({"allow_subnets": None, "retry_schedule": ""}) as running:
        yield running.api()


# What leads to this machine, and what the refusal has to name.
LOOPBACK = r"127(\.0\.0\.0)?/8|loopback"
SPELLINGS = {
    "127.0.0.1": LOOPBACK,
    "127.1": LOOPBACK,
    "127.255.255.254": LOOPBACK,
    "2130706433": LOOPBACK,
    "0x7f000001": LOOPBACK,
    "0x7f.0.0.1": LOOPBACK,
    "0177.0.0.1": LOOPBACK,
    "017700000001": LOOPBACK,
    "127.0.0.1.": LOOPBACK,
    "%31%32%37.0.0.1": LOOPBACK,
    "１２７.0.0.1": LOOPBACK,
    "localhost": LOOPBACK + r"|::1",
    "LOCALHOST": LOOPBACK + r"|::1",
    "0.0.0.0": r"0(\.0\.0\.0)?/8|unspecified|this (host|network)",
    "0": r"0(\.0\.0\.0)?/8|unspecified|this (host|network)",
    "[::1]": r"::1|loopback",
    "[::]": r"::|unspecified",
    "[::ffff:127.0.0.1]": r"127|::ffff|mapped|loopback",
    "[::ffff:7f00:1]": r"127|::ffff|mapped|loopback",
    "[::127.0.0.1]": r"127|::|compatible|loopback",
}


@pytest.mark.parametrize("host", SPELLINGS)
def test_this_machine_is_not_reached(guarded, host):
    listeners = [SilentListener()]
    try:
        listeners.append(SilentListener(socket.AF_INET6, "::1"))
    except OSError:
        pass  # a machine without IPv6
    app = guarded.new_app()
    try:
        for listener in listeners:
            response = guarded.post(f"/app/{app['id']}/endpoint", {"url": f"http://{host}:{listener.port}/"})
            # Literal private addresses may be stored; what is no URL at all may be refused. Neither may connect.
            assert response.status_code in (201, 422), response.text
            if response.status_code == 422:
                assert host in ("127.0.0.1.", "%31%32%37.0.0.1", "１２７.0.0.1"), "this spelling is a valid URL"
                continue
            (attempt,) = guarded.wait_final(app, guarded.send(app), response.json())
            assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0)
            assert re.search(SPELLINGS[host], attempt["response"]), attempt["response"]
            guarded.ok("DELETE", f"/app/{app['id']}/endpoint/{response.json()['id']}", None, 204)
        assert [listener.connections() for listener in listeners] == [0] * len(listeners)
    finally:
        for listener in listeners:
            listener.close()


RANGES = {
    "10.0.0.1": "10/8 10.0.0.0/8",
    "100.64.0.1": "100.64/10 100.64.0.0/10",
    "169.254.169.254": "169.254/16 169.254.0.0/16",
    "172.16.0.1": "172.16/12 172.16.0.0/12",
    "172.31.255.255": "172.16/12 172.16.0.0/12",
    "192.0.0.1": "192.0.0/24 192.0.0.0/24",
    "192.0.2.1": "192.0.2/24 192.0.2.0/24",
    "192.88.99.1": "192.88.99/24 192.88.99.0/24",
    "192.168.1.1": "192.168/16 192.168.0.0/16",
    "198.18.0.1": "198.18/15 198.18.0.0/15",
    "198.51.100.1": "198.51.100/24 198.51.100.0/24",
    "203.0.113.1": "203.0.113/24 203.0.113.0/24",
    "224.0.0.1": "224/4 224.0.0.0/4",
    "240.0.0.1": "240/4 240.0.0.0/4",
    "255.255.255.255": "255.255.255.255 240/4 240.0.0.0/4",
    "[64:ff9b::a00:1]": "64:ff9b::/96",
    "[64:ff9b:1::1]": "64:ff9b:1::/48",
    "[100::1]": "100::/64",
    "[2001::1]": "2001::/32",
    "[2001:db8::1]": "2001:db8::/32",
    "[2002:a00:1::]": "2002::/16",
    "[3fff::1]": "3fff::/20",
    "[5f00::1]": "5f00::/16",
    "[fc00::1]": "fc00::/7",
    "[fdff::1]": "fc00::/7",
    "[fe80::1]": "fe80::/10",
    "[fec0::1]": "fec0::/10",
    "[ff02::1]": "ff00::/8",
}


def test_private_and_reserved_ranges(guarded):
    """Nothing of these is ever connected to, so the refusals come at once and not by a timeout."""
    app = guarded.new_app()
    endpoints = {host: guarded.new_endpoint(app, f"http://{host}/") for host in RANGES}
    message = guarded.send(app)
    for host, names in RANGES.items():
        (attempt,) = guarded.wait_final(app, message, endpoints[host])
        assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0), host
        assert attempt["responseDurationMs"] < 3000, host
        assert any(name in attempt["response"] for name in names.split()), (host, attempt["response"])


def test_only_the_allowed_subnet_is_open(receiver, path):
    with Server({"allow_subnets": "127.0.0.1/32", "retry_schedule": ""}) as server:
        api = server.api()
        app = api.new_app()
        good = api.new_endpoint(app, receiver.url(path))
        bad = api.new_endpoint(app, f"http://127.0.0.2:{receiver.port}{path}-bad")
        message = api.send(app)
        assert api.wait_final(app, message, good)[0]["status"] == SUCCESS
        assert api.wait_final(app, message, bad)[0]["responseStatusCode"] == 0
        assert receiver.requests(path + "-bad") == []


def test_a_wrong_subnet_is_refused_at_start():
    server = Server({"allow_subnets": "127.0.0.0/99"})
    with pytest.raises(AssertionError, match="exit code 2"):
        server.start()
    assert "allow_subnets" in server.log()
    server.close()


# ---- TLS ----


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def trusting(authority):
    """A server that trusts our authority besides the system's."""
    with Server({"tls_ca_file": authority.ca_file, "retry_schedule": ""}) as running:
        yield running.api()


def attempt_over_tls(api, listener, host="127.0.0.1"):
    app = api.new_app()
    endpoint = api.new_endpoint(app, f"https://{host}:{listener.port}/tls")
    message = api.send(app, {"over": "tls"})
    (attempt,) = api.wait_final(app, message, endpoint)
    return attempt, app, endpoint


def test_a_trusted_certificate(trusting, authority):
    with Receiver(authority.context("127.0.0.1", "localhost")) as listener:
        for host in ("127.0.0.1", "localhost"):
            attempt, app, endpoint = attempt_over_tls(trusting, listener, host)
            assert attempt["status"] == SUCCESS, attempt["response"]
            request = listener.requests("/tls")[-1]
            assert request.body == b'{"over": "tls"}'
            assert signatures.verifies(trusting.secret(app, endpoint), request)


def refused(attempt, listener):
    assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0)
    assert re.search(r"certificate|TLS|SSL", attempt["response"], re.IGNORECASE), attempt["response"]
    assert listener.requests() == []


def test_an_unknown_authority(api, authority):
    """The module's plain server trusts the system's authorities only."""
    with Receiver(authority.context("127.0.0.1")) as listener:
        app = api.new_app()
        endpoint = api.new_endpoint(app, listener.url("/tls"))
        for attempt in api.wait_final(app, api.send(app), endpoint):
            refused(attempt, listener)


def test_a_certificate_for_another_host(trusting, authority):
    with Receiver(authority.context("example.com")) as listener:
        refused(attempt_over_tls(trusting, listener)[0], listener)


def test_an_expired_certificate(trusting, authority):
    with Receiver(authority.context("127.0.0.1", days=(-30, -2))) as listener:
        refused(attempt_over_tls(trusting, listener)[0], listener)


def test_plain_http_where_tls_is_expected(trusting, receiver):
    attempt, _, _ = attempt_over_tls(trusting, receiver)
    assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0)


def test_a_redirect_from_tls_to_plain_is_not_followed(trusting, authority, receiver, path):
    with Receiver(authority.context("127.0.0.1")) as listener:
        listener.script("/tls", Reply(307, [("Location", receiver.url(path))]))
        assert attempt_over_tls(trusting, listener)[0]["responseStatusCode"] == 307
    assert receiver.requests(path) == []


def test_http2(trusting, authority):
    with Http2Receiver(authority.context("127.0.0.1", alpn=["h2"])) as listener:
        app = trusting.new_app()
        endpoint = trusting.new_endpoint(app, listener.url("/two"))
        messages = [trusting.send(app, {"n": n}) for n in range(5)]
        for message in messages:
            assert trusting.wait_final(app, message, endpoint)[0]["status"] == SUCCESS
        requests = wait_for(
            lambda: len(listener.requests("/two")) == 5 and listener.requests("/two"), 5, "five requests"
        )
        secret = trusting.secret(app, endpoint)
        for request in requests:
            assert request.version == "HTTP/2" and signatures.verifies(secret, request)
        assert sorted(r.body for r in requests) == [b'{"n": %d}' % n for n in range(5)]


def test_https_only(receiver):
    with Server({"endpoint_https_only": "true"}) as server:
        api = server.api()
        app = api.new_app()
        response = api.post(f"/app/{app['id']}/endpoint", {"url": receiver.url("/x")})
        assert response.status_code == 422 and response.json()["detail"][0]["loc"] == ["body", "url"]
        api.new_endpoint(app, "https://example.com/")
