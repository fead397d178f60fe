# SPDX-License-Identifier: Apache-2.0
"""OAuth2, client certificates and proxies towards endpoints, with a real token server, TLS receivers and proxies."""

import base64
import json
import re
import ssl
import urllib.parse

import pytest
from harness import tls
from harness.api import FAIL, SUCCESS, is_invalid
from harness.receiver import Receiver, Reply
from harness.wait import wait_for


def token_reply(token, **more):
    return Reply(headers=[("Content-Type", "application/json")],
                 body=json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode())


@pytest.fixture
def oauth(receiver, path):
    return {"type": "oauth2", "tokenUrl": receiver.url(path + "/token"), "clientId": "my client",
            "clientSecret": "s/e:c", "scopes": ["read", "write all"]}


def test_one_token_for_many_deliveries(api, app, receiver, path, oauth):
    receiver.script(path + "/token", token_reply("tok-1", expires_in=3600))
    api.new_endpoint(app, receiver.url(path), auth=oauth)
    ids = [api.send(app)["id"] for _ in range(20)]
    for id in ids:
        assert receiver.wait_message(id, path)[0].header("authorization") == "Bearer tok-1"
    (request,) = receiver.requests(path + "/token")
    assert request.method == "POST" and request.header("content-type") == "application/x-www-form-urlencoded"
    assert urllib.parse.parse_qs(request.body.decode()) == {"grant_type": ["client_credentials"],
                                                            "scope": ["read write all"]}
    user, password = base64.b64decode(request.header("authorization").removeprefix("Basic ")).decode().split(":")
    assert (urllib.parse.unquote(user), urllib.parse.unquote(password)) == ("my client", "s/e:c")


def test_a_token_that_ends_is_asked_for_again(api, app, receiver, path, oauth):
    receiver.script(path + "/token", token_reply("tok-1", expires_in=1), token_reply("tok-2", expires_in=3600))
    api.new_endpoint(app, receiver.url(path), auth=oauth)
    assert receiver.wait_message(api.send(app)["id"], path)[0].header("authorization") == "Bearer tok-1"
    wait_for(lambda: receiver.wait_message(api.send(app)["id"], path)[0].header("authorization") == "Bearer tok-2", 10)


def test_a_refused_token_is_asked_for_again(api, app, receiver, path, oauth):
    receiver.script(path + "/token", token_reply("tok-1"), token_reply("tok-2"))
    receiver.script(path, Reply(status=401), Reply())
    endpoint = api.new_endpoint(app, receiver.url(path), auth=oauth)
    attempts = api.wait_final(app, api.send(app), endpoint)
    assert [attempt["responseStatusCode"] for attempt in attempts] == [401, 200]
    assert [request.header("authorization") for request in receiver.requests(path)] == ["Bearer tok-1", "Bearer tok-2"]


@pytest.mark.parametrize("reply, words", [
    (Reply(status=401, body=b'{"error":"invalid_client"}'), "401"), (Reply(body=b"nonsense"), "none in it"),
    (Reply(body=b'{"access_token":""}'), "none in it"), (Reply(body=b'{"access_token":"a\\r\\nX: y"}'), "none in it"),
    (Reply(close=True), "token URL"), (Reply(status=302, headers=[("Location", "/")]), "302"),
])
def test_no_token(api, app, receiver, path, oauth, reply, words):
    receiver.script(path + "/token", reply)
    endpoint = api.new_endpoint(app, receiver.url(path), auth=oauth, retrySchedule=[])
    (attempt,) = api.wait_final(app, api.send(app), endpoint)
    assert attempt["status"] == FAIL and "access token" in attempt["response"] and words in attempt["response"]
    assert not receiver.requests(path)


def test_new_credentials_make_a_new_token(api, app, receiver, path, oauth):
    receiver.script(path + "/token", token_reply("tok-1"), token_reply("tok-2"))
    endpoint = api.new_endpoint(app, receiver.url(path), auth=oauth)
    receiver.wait_message(api.send(app)["id"], path)
    api.ok("PATCH", f"/app/{app['id']}/endpoint/{endpoint['id']}", {"auth": {**oauth, "clientSecret": "new"}})
    assert receiver.wait_message(api.send(app)["id"], path)[0].header("authorization") == "Bearer tok-2"


def test_a_client_certificate_must_fit_its_key(api, app):
    bad = {"type": "mtls", "certPem": "nonsense", "keyPem": "nonsense"}
    is_invalid(api.post(f"/app/{app['id']}/endpoint", {"url": "https://127.0.0.1:9/", "auth": bad}), "body", "auth")


@pytest.fixture
def authority(tmp_path):
    return tls.Authority(tmp_path)


def pem(path, kind):
    """The parts of a PEM file that are of a kind: CERTIFICATE or PRIVATE KEY."""
    text = open(path).read()
    parts = re.findall(r"-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n?", text)
    return "".join(part for part in parts if kind in part)


def test_a_client_certificate(api, app, path, authority):
    context = authority.context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    client = authority.file("posthorn")
    auth = {"type": "mtls", "certPem": pem(client, "CERTIFICATE"), "keyPem": pem(client, "PRIVATE KEY"),
            "caPem": pem(authority.ca_file, "CERTIFICATE")}
    with Receiver(tls_context=context) as receiver:
        with_it = api.new_endpoint(app, receiver.url(path), auth=auth, retrySchedule=[])
        without = api.new_endpoint(app, receiver.url(path), retrySchedule=[])
        message = api.send(app)
        receiver.wait_message(message["id"], path)
        assert api.wait_final(app, message, with_it)[0]["status"] == SUCCESS
        (attempt,) = api.wait_final(app, message, without)
        assert attempt["status"] == FAIL and attempt["responseStatusCode"] == 0
        assert len(receiver.requests(path)) == 1
    shown = api.get(f"/app/{app['id']}/endpoint/{with_it['id']}").text
    assert "PRIVATE" not in shown and "certPem" in shown


def test_a_proxy(api, app, receiver, path):
    """Everything goes through a tunnel to the checked address; only the proxy sees its credentials."""
    with Receiver() as proxy:  # answers the CONNECT and then, in its tunnel, the delivery
        endpoint = api.new_endpoint(app, receiver.url(path), retrySchedule=[],
                                    proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        (attempt,) = api.wait_final(app, api.send(app), endpoint)
        assert attempt["status"] == SUCCESS, attempt
        connect, request = proxy.requests()
        assert (connect.method, connect.target) == ("CONNECT", f"127.0.0.1:{receiver.port}")
        assert connect.header("proxy-authorization") == "Basic " + base64.b64encode(b"me:p@ss").decode()
        assert (request.method, request.path) == ("POST", path) and request.header("proxy-authorization") is None
        assert not receiver.requests(path)
