# SPDX-License-Identifier: Apache-2.0
"""Proxies: the operator's own (egress_proxy), through which everything leaves, and those of endpoints. Nothing inside
is reached by either."""

import json
import signal

import pytest
from harness.proxy import Proxy
from harness.server import Server
from harness.wait import wait_for

SUCCESS, FAIL = 0, 2
PUBLIC = "93.184.216.34"


def deliver(api, url, **fields):
    """The attempt of one message to an endpoint of its own."""
    app = api.new_app()
    endpoint = api.new_endpoint(app, url, **fields)
    (attempt,) = api.wait_final(app, api.send(app), endpoint)
    return attempt


@pytest.mark.smoke
def test_deliveries_leave_through_the_proxy(receiver, path):
    with Proxy(receiver.port, "us@er:hunter2") as proxy:
        settings = {"allow_subnets": None, "retry_schedule": "", "log_level": "debug",
                    "egress_proxy": proxy.url("us%40er:hunter2")}
        with Server(settings) as server:
            api = server.api()
            assert deliver(api, f"http://{PUBLIC}{path}")["status"] == SUCCESS
            (request,) = receiver.requests(path)
            assert request.header_map["host"] == PUBLIC and "proxy-authorization" not in request.header_map
            assert proxy.targets() == [f"{PUBLIC}:80"]
            for url, rule in [("http://10.0.0.1/", "private 10.0.0.0/8"), ("http://localhost/", "loopback"),
                              (receiver.url(path), "loopback 127.0.0.0/8")]:
                attempt = deliver(api, url)
                assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0), attempt
                assert f"is not allowed: {rule}" in attempt["response"], attempt
            assert len(proxy.targets()) == 1 and len(receiver.requests(path)) == 1
            assert "hunter2" not in server.log()


def test_the_proxy_looks_names_up_if_told_so(receiver, path):
    with Proxy(receiver.port) as proxy:
        settings = {"allow_subnets": None, "retry_schedule": "", "egress_proxy": proxy.url(),
                    "egress_proxy_resolves": "true"}
        with Server(settings) as server:
            api = server.api()
            assert deliver(api, f"http://shop.invalid:8080{path}")["status"] == SUCCESS
            assert receiver.requests(path)[0].header_map["host"] == "shop.invalid:8080"
            assert proxy.targets() == ["shop.invalid:8080"]
            assert "is not allowed" in deliver(api, "http://[::1]/")["response"]
            assert len(proxy.targets()) == 1


@pytest.mark.parametrize("answer, words", [
    (None, "answered 407: it wants a user name and password"),
    (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "did not connect to the receiver: it answered 403"),
    (b"HTTP/1.1 410 Gone\r\nwebhook-delivery: disable\r\n\r\n", "it answered 410"),
])
def test_what_the_proxy_says_is_not_the_receivers_word(receiver, path, answer, words):
    with Proxy(receiver.port, "a:b" if answer is None else None, answer) as proxy:
        with Server({"allow_subnets": None, "retry_schedule": "0.05", "egress_proxy": proxy.url()}) as server:
            api = server.api()
            app = api.new_app()
            endpoint = api.new_endpoint(app, f"http://{PUBLIC}{path}")
            attempts = api.wait_final(app, api.send(app), endpoint)
            assert len(attempts) == 2
            for attempt in attempts:
                assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0), attempt
                assert f"the proxy 127.0.0.1:{proxy.port} " in attempt["response"], attempt
                assert words in attempt["response"], attempt
            assert not api.ok("GET", f"/api/v1/app/{app['id']}/endpoint/{endpoint['id']}").get("disabled")
            assert receiver.requests(path) == []


def test_another_proxy_while_running(tmp_path, receiver, path):
    file = tmp_path / "posthorn.yaml"

    def write(**options):
        options = {"allow_subnets": "127.0.0.0/8", "retry_schedule": "", **options}
        file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in options.items()))

    with Proxy(receiver.port) as first, Proxy(receiver.port) as second:
        write(egress_proxy=first.url("name:hunter2"))
        with Server(defaults={}, args=["--config", str(file)]) as server:
            api = server.api()
            app = api.new_app()
            api.new_endpoint(app, f"http://{PUBLIC}{path}")

            def reload(words, **options):
                before = server.log().count(words)
                write(**options)
                server.process.send_signal(signal.SIGHUP)
                wait_for(lambda: server.log().count(words) > before, 10, words)

            def attempt():
                return api.wait_attempts(app, api.send(app))[0]

            for _ in range(2):
                assert attempt()["status"] == SUCCESS
            assert len(first.targets()) == 1, "the tunnel is kept"
            reload("configuration reloaded", egress_proxy=second.url("name:hunter2"))
            assert attempt()["status"] == SUCCESS
            assert (len(first.targets()), len(second.targets())) == (1, 1)
            reload("egress_proxy", egress_proxy="socks4://name:hunter2@127.0.0.1")
            assert attempt()["status"] == SUCCESS, "a bad one leaves the former"
            assert (len(first.targets()), len(second.targets())) == (1, 1)
            reload("configuration reloaded", egress_proxy="")
            assert deliver(api, receiver.url(path + "-direct"))["status"] == SUCCESS
            assert (len(first.targets()), len(second.targets())) == (1, 1)
            assert "hunter2" not in server.log()


def test_a_bad_proxy_is_refused_at_start():
    server = Server({"egress_proxy": "ftp://name:hunter2@proxy.test"})
    with pytest.raises(AssertionError, match="exit code 2"):
        server.start()
    assert "egress_proxy" in server.log() and "hunter2" not in server.log()
    server.close()


# ---- proxies of endpoints ----


def test_an_endpoints_proxy_is_judged_as_its_url_is(receiver, path):
    """Its own address, and what it is asked to connect to."""
    with Proxy(receiver.port, "tenant:hunter2") as proxy:
        settings = {"allow_subnets": "127.0.0.1/32", "retry_schedule": "", "log_level": "debug"}
        with Server(settings) as server:
            api = server.api()
            own = proxy.url("tenant:hunter2")
            assert deliver(api, f"http://{PUBLIC}{path}", proxy=own)["status"] == SUCCESS
            assert proxy.targets() == [f"{PUBLIC}:80"]
            for host in ["10.0.0.1", "127.0.0.2", "[::ffff:10.0.0.1]", "169.254.169.254"]:
                attempt = deliver(api, f"http://{host}/", proxy=own)
                assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0), attempt
                assert "is not allowed: " in attempt["response"], attempt
            inside = own.replace("127.0.0.1", "127.0.0.2")
            attempt = deliver(api, f"http://{PUBLIC}{path}", proxy=inside)
            assert "address 127.0.0.2 of the proxy is not allowed: loopback" in attempt["response"], attempt
            assert len(proxy.targets()) == 1 and len(receiver.requests(path)) == 1
            assert "hunter2" not in server.log()


def test_nothing_leaves_but_through_the_operators_proxy(receiver, path):
    with Proxy(receiver.port) as operators, Proxy(receiver.port) as tenants:
        with Server({"retry_schedule": "", "egress_proxy": operators.url()}) as server:
            attempt = deliver(server.api(), f"http://{PUBLIC}{path}", proxy=tenants.url())
            assert attempt["status"] == FAIL and "egress_proxy" in attempt["response"], attempt
            assert operators.targets() == tenants.targets() == [] == receiver.requests(path)
