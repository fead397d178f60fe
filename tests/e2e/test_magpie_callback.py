# SPDX-License-Identifier: Apache-2.0
"""Callback URLs: used once, without credentials, by GET or HEAD, for as long as they hold."""

import uuid

import pytest
from harness.magpie import Magpie, make_token
from harness.server import Server


@pytest.fixture(scope="module")
def magpie(server):
    return Magpie(server, make_token(server, "root"))


@pytest.fixture(scope="module")
def nobody(server):
    return Magpie(server)


def token_of(told):
    return told()[-1][1]["callback_url"].rsplit("/tmp/", 1)[1]


def made(magpie):
    """A user and the token of its callback."""
    told = magpie.told()
    name = magpie.user()["user_name"]
    return name, token_of(told)


def test_get(magpie, nobody):
    name, token = made(magpie)
    told = magpie.told()
    nobody.ok("GET", f"/tmp/{token}")
    assert magpie.status(name) == "WebhookError"
    nobody.fails("GET", f"/tmp/{token}", status=404)
    assert told() == []  # no hooks: no loop


def test_head(magpie, nobody):
    name, token = made(magpie)
    answer = nobody.request("HEAD", f"/tmp/{token}")
    assert answer.status_code == 200 and answer.content == b""
    assert magpie.status(name) == "WebhookError"
    assert nobody.request("HEAD", f"/tmp/{token}").status_code == 404


def test_forms_of_the_token(magpie, nobody):
    for form in ("urn:uuid:{}", "urn%3Auuid%3A{}"):
        name, token = made(magpie)
        nobody.ok("GET", "/tmp/" + form.format(token))
        assert magpie.status(name) == "WebhookError"
    name, token = made(magpie)
    nobody.ok("GET", "/tmp/" + token.upper())
    for bad in ("x", "1234", token[:-1], token + "0", token.replace("-", ""), "g" + token[1:], "urn:uuid:",
                token.replace("-", "_"), "urn:uuid:urn:uuid:" + token):
        nobody.fails("GET", f"/tmp/{bad}", status=422, param="token")
    nobody.fails("GET", f"/tmp/{uuid.uuid4()}", status=404)


def test_each_event_has_its_own(magpie, nobody):
    """Only its own is used up: the one of the next status change works after the first was used."""
    name, token = made(magpie)
    nobody.ok("GET", f"/tmp/{token}")
    told = magpie.told()
    magpie.ok("PATCH", f"/users/{name}", {"status": "OK"})
    second = token_of(told)
    assert second != token and magpie.status(name) == "OK"
    nobody.ok("GET", f"/tmp/{second}")
    assert magpie.status(name) == "WebhookError"


def test_by_id_after_a_rename(magpie, nobody):
    name, token = made(magpie)
    magpie.ok("PATCH", f"/users/{name}", {"user_name": name + "x"})
    other = magpie.ok("POST", "/users", {"user_name": name, "email": f"{name}@other"}, 201)["user"]
    nobody.ok("GET", f"/tmp/{token}")
    assert magpie.status(name + "x") == "WebhookError" and magpie.status(other["user_name"]) == "OK"


def test_it_dies_with_its_user(magpie, nobody):
    name, token = made(magpie)
    magpie.ok("DELETE", f"/users/{name}")
    magpie.ok("POST", "/users", {"user_name": name, "email": f"{name}@again"}, 201)
    nobody.fails("GET", f"/tmp/{token}", status=404)
    assert magpie.status(name) == "OK"


def test_expired():
    """Age is looked at when a token is used: with the least lifetime it is over at once."""
    with Server({"magpie.token_expire": "0.001"}) as server:
        magpie, nobody = Magpie(server, make_token(server, "root")), Magpie(server)
        name, token = made(magpie)
        later = magpie.user()  # its commit comes after the millisecond
        answer = nobody.request("GET", f"/tmp/{token}")
        assert answer.status_code == 410, answer.text
        assert answer.json()["token"] == token and answer.json()["code"] == 410 and later
        assert nobody.request("HEAD", f"/tmp/{token}").status_code == 410
        assert magpie.status(name) == "OK"


def test_the_base_can_be_set():
    with Server({"magpie.base_url": "https://iam.example.org/magpie/"}) as server:
        magpie = Magpie(server, make_token(server, "root"))
        told = magpie.told()
        magpie.user()
        assert told()[0][1]["callback_url"].startswith("https://iam.example.org/magpie/tmp/")


def test_it_is_not_in_the_log():
    """The path is a credential: not even the finest log has it."""
    with Server({"log_level": "debug"}) as server:
        name, token = made(Magpie(server, make_token(server, "root")))
        for _ in range(2):
            Magpie(server).request("GET", f"/tmp/{token}")
        assert token not in server.log() and "/magpie/tmp/{token}" in server.log() and name


def test_it_survives_a_crash():
    with Server() as server:
        magpie = Magpie(server, make_token(server, "root"))
        name, token = made(magpie)
        server.kill()
        server.start()
        Magpie(server).ok("GET", f"/tmp/{token}")
        assert magpie.status(name) == "WebhookError"
