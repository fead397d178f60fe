# SPDX-License-Identifier: Apache-2.0
"""Signing in to the magpie surface: the cookie, its end, wrong passwords, and how many may wait."""

import concurrent.futures
import socket
import ssl

import httpx
import pytest
from harness import tls
from harness.magpie import Magpie, fresh, make_token
from harness.server import Server
from harness.wait import net, wait_for

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def magpie(server):
    return Magpie(server, make_token(server, "root"))


def signed_in(server, name, password=PASSWORD, kind="body"):
    client = Magpie(server)
    answer = client.request("POST", "/signin", **{kind: {"user_name": name, "password": password}})
    assert answer.status_code == 200, answer.text
    return client


def test_a_session(server, magpie):
    name = magpie.user(password=PASSWORD)["user_name"]
    client = Magpie(server)
    assert client.ok("GET", "/session")["authenticated"] is False
    answer = client.request("POST", "/signin", {"user_name": name, "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and cookie.startswith("auth_tkt=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Strict"}
    session = client.ok("GET", "/session")
    assert session["authenticated"] is True and session["user"]["user_name"] == name
    client.ok("GET", "/users/current")
    client.fails("GET", "/users", status=403)
    # The text of the cookie is nowhere else.
    text = client.http.cookies["auth_tkt"]
    assert text not in server.log() and PASSWORD not in server.log()
    database = b"".join(path.read_bytes() for path in server.data.glob("posthorn.db*"))
    assert text.encode() not in database and PASSWORD.encode() not in database and b"$scrypt$" in database

    stolen = Magpie(server)
    stolen.http.cookies.set("auth_tkt", text)
    stolen.ok("GET", "/users/current")
    out = client.request("GET", "/signout")
    assert out.status_code == 200 and "Max-Age=0" in out.headers["set-cookie"]
    assert client.ok("GET", "/session")["authenticated"] is False
    stolen.fails("GET", "/users/current", status=401)
    client.ok("GET", "/signout")  # once more does no harm


def test_the_session_of_a_token(server, magpie):
    session = magpie.ok("GET", "/session")
    assert session["authenticated"] is True and session["user"]["user_name"] == "root"
    for token in ("x", "mgs_x", "mgp_x"):
        assert Magpie(server, token).ok("GET", "/session")["authenticated"] is False
    assert "auth_tkt=;" in magpie.request("GET", "/signout").headers["set-cookie"]
    magpie.ok("GET", "/users/current")  # tokens do not end so


def test_every_sign_in_is_its_own(server, magpie):
    name, cookies = magpie.user(password=PASSWORD)["user_name"], set()
    for _ in range(2):
        body, key = {"user_name": name, "password": PASSWORD}, {"Idempotency-Key": "same"}
        answer = Magpie(server).request("POST", "/signin", body, headers=key)
        assert answer.status_code == 200
        cookies.add(answer.cookies["auth_tkt"])
    assert len(cookies) == 2


def test_by_a_form(server, magpie):
    name = magpie.user(password=PASSWORD + " ü&=+")["user_name"]
    signed_in(server, name, PASSWORD + " ü&=+", "form").ok("GET", "/users/current")


def test_administrators_with_a_cookie(server, magpie):
    name = magpie.user(password=PASSWORD, group_name="administrators")["user_name"]
    client = signed_in(server, name)
    client.user()
    assert client.ok("GET", "/users/current")["user"]["user_name"] == name


def test_wrong(server, magpie):
    name, without = magpie.user(password=PASSWORD)["user_name"], magpie.user()["user_name"]
    client = Magpie(server)
    words = set()
    for user, password in ((name, PASSWORD + "x"), (name, "x"), ("nobody", PASSWORD), (without, "x" * 12),
                           ("anonymous", "y")):
        words.add(client.fails("POST", "/signin", {"user_name": user, "password": password}, 401)["detail"])
    assert len(words) == 1  # nobody learns which of both was wrong
    for body in ({}, {"user_name": name}, {"password": PASSWORD}, {"user_name": name, "password": ""},
                 {"user_name": name, "password": None}, {"user_name": 7, "password": PASSWORD},
                 {"user_name": name, "password": "x" * 1025}):
        client.fails("POST", "/signin", body, 400)
    assert "auth_tkt" not in client.http.cookies


def test_another_password_ends_sessions(server, magpie):
    name = magpie.user(password=PASSWORD)["user_name"]
    own, other = signed_in(server, name), signed_in(server, name)
    own.ok("PATCH", "/users/current", {"password": PASSWORD + "!"})
    own.ok("GET", "/users/current")
    other.fails("GET", "/users/current", status=401)
    Magpie(server).fails("POST", "/signin", {"user_name": name, "password": PASSWORD}, 401)
    third = signed_in(server, name, PASSWORD + "!")
    magpie.ok("PATCH", f"/users/{name}", {"password": PASSWORD})
    third.fails("GET", "/users/current", status=401)
    own.fails("GET", "/users/current", status=401)


def test_a_deleted_user_is_out(server, magpie):
    name = magpie.user(password=PASSWORD)["user_name"]
    client = signed_in(server, name)
    magpie.ok("DELETE", f"/users/{name}")
    client.fails("GET", "/users/current", status=401)
    Magpie(server).fails("POST", "/signin", {"user_name": name, "password": PASSWORD}, 401)


def test_a_session_survives_a_restart():
    with Server() as server:
        magpie = Magpie(server, make_token(server, "root"))
        client = signed_in(server, magpie.user(password=PASSWORD)["user_name"])
        server.kill()
        server.start()
        client.ok("GET", "/users/current")


@pytest.mark.parametrize("settings", [
    {"public_url": "https://iam.example.org"}, {"magpie.base_url": "https://iam.example.org/magpie"}])
def test_secure_behind_tls(settings):
    with Server(settings) as server:
        name = Magpie(server, make_token(server, "root")).user(password=PASSWORD)["user_name"]
        answer = Magpie(server).request("POST", "/signin", {"user_name": name, "password": PASSWORD})
        assert "; Secure" in answer.headers["set-cookie"]


def test_a_listener_of_its_own(tmp_path):
    """At the root and below the mount, with TLS: the cookie is for TLS only."""
    authority = tls.Authority(tmp_path)
    pem = authority.file("127.0.0.1")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{taken.getsockname()[1]}"
        with Server({"surface_listen.magpie": own, "surface_tls.magpie": f"{pem},{pem}"}) as server:
            name = Magpie(server, make_token(server, "root")).user(password=PASSWORD)["user_name"]
            client = Magpie(server, base=f"https://{own}")
            trusted = ssl.create_default_context(cafile=authority.ca_file)
            client.http = httpx.Client(timeout=net(30), trust_env=False, verify=trusted)
            answer = client.request("POST", "/signin", {"user_name": name, "password": PASSWORD})
            assert answer.status_code == 200 and "; Secure" in answer.headers["set-cookie"]
            assert client.ok("GET", "/users/current")["user"]["user_name"] == name
            assert client.ok("GET", "/magpie/users/current")["user"]["user_name"] == name
            client.fails("GET", "/api/v1/app", status=404)
            client.fails("PUT", "/users", status=405)


def test_too_many_failures():
    with Server() as server:
        magpie = Magpie(server, make_token(server, "root"))
        name, other = magpie.user(password=PASSWORD)["user_name"], magpie.user(password=PASSWORD)["user_name"]
        client = Magpie(server)
        for _ in range(10):
            client.fails("POST", "/signin", {"user_name": name, "password": "wrong"}, 401)
        answer = client.request("POST", "/signin", {"user_name": name, "password": PASSWORD})
        assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 300
        assert answer.json()["code"] == 429
        signed_in(server, other)  # others are not kept out

        def counted():
            metrics = client.http.get(server.url + "/metrics").text
            return "posthorn_sign_ins_failed_total 10\n" in metrics and "posthorn_sign_ins_limited_total 1\n" in metrics

        wait_for(counted, 5, "them to be counted")


def test_a_full_queue_of_passwords(server, magpie):
    """Hashing waits on threads of its own: what does not fit is refused, and all else goes on meanwhile."""
    def create(_):
        name = fresh()
        body = {"user_name": name, "email": f"{name}@example.org", "password": PASSWORD}
        return magpie.request("POST", "/users", body).status_code

    with concurrent.futures.ThreadPoolExecutor(90) as pool:
        running = [pool.submit(create, n) for n in range(90)]
        magpie.user()
        is_before = not all(future.done() for future in running)
        codes = [future.result() for future in running]
    assert set(codes) == {201, 503} and codes.count(201) >= 34
    assert is_before, "it waited for all the passwords"
    text = magpie.http.get(server.url + "/metrics").text
    assert f"posthorn_passwords_refused_total {codes.count(503)}" in text
