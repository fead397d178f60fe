# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: what changes while the server runs, what stays because it cannot be used, and what is named as needing a
restart. And who a client is, behind proxies that are trusted or not."""

import contextlib
import json
import re
import shutil
import signal
import socket
import ssl

import pytest
from harness.api import is_invalid
from harness.receiver import Reply
from harness.server import Server
from harness.tls import Authority
from harness.wait import net, wait_for

LOOPBACK = "127.0.0.0/8"


class Configured:
    """A server that is configured by a file alone; change() writes the file anew and sends SIGHUP."""

    def __init__(self, folder, **options):
        self.file = folder / "posthorn.yaml"
        self.options = {"allow_subnets": LOOPBACK, "retry_schedule": "", "log_level": "debug", **options}
        self._write()
        self.server = Server(defaults={}, args=["--config", str(self.file)])

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)

    def _write(self):
        self.file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in self.options.items()))

    def lines(self, words):
        return [line for line in self.server.log().splitlines() if words in line]

    def change(self, **options):
        """The line that tells of the reload."""
        before = len(self.lines("configuration reloaded"))
        self.options.update(options)
        self._write()
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(self.lines("configuration reloaded")) > before, 10, "the reload")
        return self.lines("configuration reloaded")[-1]


def attempt_of(api, app, path=None):
    message = api.send(app)
    return api.wait_attempts(app, message)[0]


# ---- deliveries ----


@pytest.mark.smoke
def test_how_deliveries_are_made_changes(tmp_path, receiver, path):
    with Configured(tmp_path, signature_headers="webhook", delivery_timeout=30) as it:
        api = it.server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        receiver.script(path, Reply(200))
        attempt_of(api, app)
        assert "webhook-id" in receiver.requests(path)[0].header_map
        line = it.change(signature_headers="svix", retry_schedule=[0.05], retry_jitter=0)
        assert re.search(r'changed="(?=.*retry_schedule)(?=.*retry_jitter)(?=.*signature_headers)', line), line
        receiver.script(path, Reply(500))
        message = api.send(app)
        assert len(api.wait_attempts(app, message, 2)) == 2
        headers = receiver.requests(path)[-1].header_map
        assert "svix-id" in headers and "webhook-id" not in headers
        it.change(delivery_timeout=0.3, retry_schedule="")
        receiver.script(path, Reply(hang=True))
        attempt = attempt_of(api, app)
        assert attempt["responseStatusCode"] == 0 and "time" in attempt["response"], attempt
        assert not it.lines("needs_restart")


def test_attempts_in_flight_are_capped_anew(tmp_path, receiver, path):
    with Configured(tmp_path, max_in_flight=64) as it:
        api = it.server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        it.change(max_in_flight=1)
        receiver.script(path, Reply(200, delay=0.05))
        messages = [api.send(app, {"n": n}) for n in range(8)]
        for message in messages:
            api.wait_attempts(app, message)
        assert receiver.max_in_flight(path) == 1


@pytest.mark.smoke
def test_changed_subnets_hold_for_kept_connections_too(tmp_path, receiver, path):
    with Configured(tmp_path) as it:
        api = it.server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        for _ in range(2):
            assert attempt_of(api, app)["responseStatusCode"] == 204
        assert len({request.connection for request in receiver.requests(path)}) == 1
        it.change(max_in_flight=10)  # the same subnets: the connection stays
        assert attempt_of(api, app)["responseStatusCode"] == 204
        assert len({request.connection for request in receiver.requests(path)}) == 1
        it.change(allow_subnets=[])
        attempt = attempt_of(api, app)
        assert attempt["responseStatusCode"] == 0 and "loopback" in attempt["response"], attempt
        assert len(receiver.requests(path)) == 3
        it.change(allow_subnets=["127.0.0.1/32"])
        assert attempt_of(api, app)["responseStatusCode"] == 204
        assert len({request.connection for request in receiver.requests(path)}) == 2


def test_http_endpoints_are_refused_from_now_on(tmp_path, receiver, path):
    with Configured(tmp_path) as it:
        api = it.server.api()
        app = api.new_app()
        api.new_endpoint(app, receiver.url(path))
        it.change(endpoint_https_only=True)
        body = {"url": receiver.url(path)}
        is_invalid(api.post(f"/app/{app['id']}/endpoint", body), "body", "url")


# ---- what does not change ----


@pytest.mark.smoke
def test_what_needs_a_restart_is_named_in_one_line(tmp_path):
    with Configured(tmp_path) as it:
        secret = "a-secret-that-must-not-be-shown-anywhere-at-all"
        it.change(http_threads=3, jwt_secret=secret, writer_queue_max=32, max_in_flight=7)
        named = wait_for(lambda: it.lines("needs_restart"), 5, "the line")
        assert len(named) == 1
        words = re.search(r'needs_restart="([^"]*)"', named[0]).group(1).split()
        assert sorted(words) == ["http_threads", "jwt_secret", "writer_queue_max"]
        assert secret not in it.server.log()
        assert "changed=max_in_flight" in it.lines("configuration reloaded")[0]
        assert 'changed=""' in it.change(), "nothing is new, and what waits for a restart waits on"
        wait_for(lambda: len(it.lines("needs_restart")) == 2, 5, "the line")


def test_a_file_with_an_error_changes_nothing(tmp_path, receiver, path):
    with Configured(tmp_path) as it:
        it.options.update(retry_jitter=7, endpoint_https_only=True)
        it._write()
        it.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: it.lines("retry_jitter"), 5, "a complaint")
        api = it.server.api()
        api.new_endpoint(api.new_app(), receiver.url(path))
        assert not it.lines("configuration reloaded")


# ---- the listener ----


def serial_of(authority, url):
    """The serial number of the certificate that the listener shows, which must be one of the authority's."""
    host, port = url.split("://", 1)[1].rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    with socket.create_connection((host, int(port)), net(10)) as raw:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            connection.sendall(b"GET /api/v1/health/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 204"), answer
            return connection.getpeercert()["serialNumber"]


@pytest.mark.smoke
def test_certificates_are_read_again(tmp_path):
    authority = Authority(tmp_path)
    first, second = authority.file("127.0.0.1"), authority.file("127.0.0.1")
    pem = tmp_path / "live.pem"
    shutil.copy(first, pem)
    with Configured(tmp_path, tls_cert_file=str(pem), tls_key_file=str(pem)) as it:
        url = it.server.url
        assert url.startswith("https:")
        serial = serial_of(authority, url)
        shutil.copy(second, pem)
        assert serial_of(authority, url) == serial
        it.change()
        renewed = serial_of(authority, url)
        assert renewed != serial
        # A file that is broken, or a key of another certificate: the former pair stays.
        other = first.read_text().split("-----BEGIN PRIVATE", 1)
        mixed = second.read_text().split("-----BEGIN PRIVATE", 1)[0] + "-----BEGIN PRIVATE" + other[1]
        for count, text in enumerate(["", "-----BEGIN CERTIFICATE-----\nnonsense\n", mixed], 1):
            pem.write_text(text)
            it.change()
            failed = wait_for(lambda: it.lines("reload failed")[count - 1 :], 5, "a complaint")
            assert len(failed) == 1 and str(pem) in failed[-1], failed
            assert serial_of(authority, url) == renewed
        shutil.copy(first, pem)
        it.change()
        assert serial_of(authority, url) == serial
        it.change(tls_cert_file="", tls_key_file="")
        assert "tls_cert_file tls_key_file" in wait_for(lambda: it.lines("needs_restart"), 5)[0]
        assert serial_of(authority, url) == serial


def test_limits_of_connections_change(tmp_path):
    with Configured(tmp_path) as it:
        host, port = it.server.url.split("://", 1)[1].rsplit(":", 1)
        with socket.create_connection((host, int(port)), net(10)) as held:
            it.change(**{"http.connections_max": 1})
            with socket.create_connection((host, int(port)), net(10)) as refused:
                assert refused.recv(100).startswith(b"HTTP/1.1 503")
            it.change(**{"http.connections_max": 10, "http.header_timeout": 0.2})
            with socket.create_connection((host, int(port)), net(10)) as slow:
                with contextlib.suppress(ConnectionError):  # the time was over before
                    slow.sendall(b"GET / HTTP/1.1\r\n")
                    assert slow.recv(100) == b""
            held.close()


# ---- who the client is ----


@pytest.mark.smoke
def test_the_client_behind_a_proxy_is_logged(tmp_path):
    with Configured(tmp_path) as it:
        api = it.server.api()

        def peer(**headers):
            count = len(it.lines("request served"))
            api.get("/app", headers={name.replace("_", "-"): value for name, value in headers.items()})
            line = wait_for(lambda: it.lines("request served")[count:], 5, "the line")[0]
            return re.search(r"peer=(\S+)", line).group(1)

        assert peer(X_Forwarded_For="192.0.2.1") == "127.0.0.1"
        it.change(trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
        assert peer() == "127.0.0.1"
        assert peer(X_Forwarded_For="198.51.100.7, 192.0.2.1, 10.1.2.3") == "192.0.2.1"
        assert peer(Forwarded='for="[2001:db8::7]:1234", for=10.1.2.3') == "2001:db8::7"
        it.change(trusted_proxies=[])
        assert peer(X_Forwarded_For="192.0.2.1", Forwarded="for=192.0.2.1") == "127.0.0.1"


# ---- lines ----


@pytest.mark.smoke
def test_a_request_for_what_is_not_built_has_one_line(tmp_path):
    """An answer 501 is said once, with its reason, and is no failure of the server."""
    with Configured(tmp_path, log_level="info") as it:
        api = it.server.api()
        response = api.post("/stream")
        assert response.status_code == 501, response.text
        lines = wait_for(lambda: it.lines("request not built"), 5, "the line")
        assert len(lines) == 1 and "status=501" in lines[0] and "not yet implemented" in lines[0], lines
        assert "level=info" in lines[0] and "level=error" not in it.server.log()
