# SPDX-License-Identifier: Apache-2.0
"""The commands for those who receive webhooks: `listen` prints and judges what comes, `verify`
judges one webhook that somebody kept."""

import base64
import hashlib
import hmac
import json
import re
import time

import httpx
import pytest
from harness import signatures
from harness.cli import (
    SECRET,
    Listen,
    is_failure,
    is_usage_error,
    try_run,
)
from harness.wait import net

# ---- listen ----


@pytest.mark.smoke
def test_listen_verifies_and_prints():
    other = signatures.new_symmetric(fill=b"z")
    with Listen("--secret", SECRET, "--count", "4") as listen:
        assert re.fullmatch(r"ready http://127\.0\.0\.1:[1-9]\d*\n", listen.ready)
        assert listen.post("/hook").status_code == 204
        assert listen.post("/wrong", secret=other).status_code == 204
        assert listen.post("/late", at=time.time() - 3600).status_code == 204
        with httpx.Client(trust_env=False, timeout=net(5)) as client:
            assert client.post(listen.url + "/bare", content=b"{}").status_code == 204
        lines = listen.lines(code=1)
    assert lines[1::2] == ['{"a": 1}', '{"a": 1}', '{"a": 1}', "{}"]
    good, wrong, late, bare = lines[0::2]
    assert re.fullmatch(r"\S+Z /hook msg_1 signature verified v1,\S+", good)
    assert "/wrong msg_1" in wrong and "no signature fits" in wrong
    assert "/late msg_1" in late and "old" in late
    assert "/bare" in bare and "missing" in bare
    assert "verified" not in wrong + late + bare


@pytest.mark.smoke
def test_listen_without_a_secret_says_so():
    with Listen("--count", "1", "--status", "503") as listen:
        assert listen.post().status_code == 503
        assert "not checked" in listen.lines()[0]


@pytest.mark.smoke
def test_listen_as_json():
    with Listen("--secret", SECRET, "--count", "3", "--json") as listen:
        listen.post(body=b'{"a": "\xc3\xa9"}')
        listen.post(body=b"\xff\x00\n", key="msg_2")
        listen.post(secret=signatures.new_symmetric(fill=b"z"))
        rows = [json.loads(line) for line in listen.lines(code=1)]
    assert [row["verified"] for row in rows] == [True, True, False]
    assert rows[0]["body"] == '{"a": "\u00e9"}' and rows[0]["path"] == "/hook"
    assert rows[1]["id"] == "msg_2" and rows[2]["signature"] == "no signature fits"


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/api/v1/webhooks/in", "/a?b=c"])
def test_listen_takes_any_path(path):
    with Listen("--secret", SECRET, "--count", "1") as listen:
        assert listen.post(path).status_code == 204
        assert "signature verified" in listen.lines()[0]


def test_listen_takes_several_secrets():
    other = signatures.new_symmetric(fill=b"z")
    with Listen("--secret", f"{SECRET},{other}", "--count", "2") as listen:
        listen.post()
        listen.post(secret=other)
        assert all("signature verified" in line for line in listen.lines()[0::2])


DBT_SECRET = "Zm9v-YmFy_q7Jt0m2Zc-1234567890abcdefABCDEF0"


def post_dbt(listen, path, secret=DBT_SECRET, name="Authorization", prefix="", headers=None):
    body = b'{"eventId":"wev_1"}'
    sign = prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    with httpx.Client(trust_env=False) as client:
        return client.post(listen.url + path, content=body, headers={name: sign, **(headers or {})})


@pytest.mark.smoke
@pytest.mark.parametrize("secret", [DBT_SECRET, "abc", "two words!", "abcd"])  # base64 or not
def test_listen_verifies_what_dbt_signs(secret):
    with Listen("--secret", f"{SECRET},{secret}", "--count", "4") as listen:
        post_dbt(listen, "/good", secret)
        post_dbt(listen, "/wrong", "another")
        listen.post("/standard")
        with httpx.Client(trust_env=False) as client:
            client.post(listen.url + "/bearer", headers={"Authorization": "Bearer x"}, content=b"{}")
        good, wrong, standard, bearer = listen.lines(code=1)[0::2]
    assert good.endswith(" /good signature verified (Authorization: HMAC-SHA256 of the body, as dbt signs)")
    assert wrong.endswith(" /wrong the HMAC-SHA256 of the body in Authorization does not fit")
    assert "/standard msg_1 signature verified v1," in standard and "missing" in bearer


@pytest.mark.smoke
def test_listen_takes_the_header_of_the_signature():
    with Listen("--secret", DBT_SECRET, "--signature-header", "X-Hub", "--count", "2", "--json") as listen:
        post_dbt(listen, "/good", name="x-hub", prefix="sha256=")
        post_dbt(listen, "/elsewhere")
        rows = [json.loads(line) for line in listen.lines(code=1)]
    assert [row["verified"] for row in rows] == [True, False]
    assert rows[0]["signature"] == "signature verified (X-Hub: HMAC-SHA256 of the body, as dbt signs)"


def test_listen_wants_both_signatures_to_fit():
    """A dbt webhook's Standard Webhooks key is the text of its secret."""
    whsec = "whsec_" + base64.b64encode(DBT_SECRET.encode()).decode()
    with Listen("--secret", DBT_SECRET, "--count", "2") as listen:
        for path, key in (("/good", whsec), ("/wrong", SECRET)):
            stamp = str(int(time.time()))
            text = b".".join([b"msg_2", stamp.encode(), b'{"eventId":"wev_1"}'])
            post_dbt(listen, path, headers={"webhook-id": "msg_2", "webhook-timestamp": stamp,
                                            "webhook-signature": "v1," + signatures.v1(key, text)})
        good, wrong = listen.lines(code=1)[0::2]
    assert "/good msg_2 signature verified (Authorization: HMAC-SHA256 of the body, and Standard Webhooks) v1," in good
    assert wrong.endswith("/wrong msg_2 Standard Webhooks: no signature fits")


def test_listen_receives_from_a_server(server, api, app):
    with Listen("--secret", SECRET, "--count", "1") as listen:
        endpoint = api.new_endpoint(app, listen.url + "/hook", secret=SECRET)
        message = api.send(app, {"n": 1})
        api.wait_final(app, message, endpoint)
        assert f"/hook {message['id']} signature verified" in listen.lines()[0]


@pytest.mark.smoke
@pytest.mark.parametrize(
    "words",
    [
        ["--status", "99"],
        ["--status", "600"],
        ["--status", "ok"],
        ["--count", "-1"],
        ["--count", "some"],
        ["--secret", "whsec_!"],
        ["--listen", "nowhere"],
    ],
)
def test_listen_used_badly(words):
    line = is_usage_error(try_run("listen", *words))
    assert words[0] in line, f"which flag was wrong? {line}"


@pytest.mark.smoke
def test_listen_on_a_port_in_use(server):
    address = server.url.split("://")[1]
    is_failure(try_run("listen", "--listen", address), address, "in use")


# ---- verify ----


def signed(body=b'{"a": 1}', at=None, secret=SECRET):
    """The flags for a webhook that is signed well."""
    stamp = str(int(time.time() if at is None else at))
    signature = "v1," + signatures.v1(secret, b"msg_1." + stamp.encode() + b"." + body)
    words = {"--secret": SECRET, "--id": "msg_1", "--timestamp": stamp, "--signature": signature}
    return words, body.decode()


def verify(words, body, *more):
    flat = [part for pair in words.items() for part in pair]
    done = try_run("verify", *flat, *more, input=body)
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout


@pytest.mark.smoke
def test_verify_says_valid(tmp_path):
    words, body = signed()
    assert verify(words, body) == (0, "valid\n")
    (tmp_path / "body").write_text(body)
    assert verify(words, "", "--file", str(tmp_path / "body")) == (0, "valid\n")
    several = {**words, "--signature": f"v1,AAAA v2,x {words['--signature']}"}
    assert verify(several, body) == (0, "valid\n")
    old, body = signed(at=time.time() - 3600)
    assert verify(old, body, "--ignore-time") == (0, "valid\n")
    assert verify(old, body, "--tolerance", "7200") == (0, "valid\n")


@pytest.mark.smoke
def test_verify_says_no():
    words, body = signed()
    for wrong, text in [
        ({}, body + " "),
        ({"--id": "msg_2"}, body),
        ({"--timestamp": str(int(words["--timestamp"]) + 1)}, body),
        ({"--signature": "v1," + "A" * 43 + "="}, body),
        ({"--signature": ""}, body),
        ({"--secret": signatures.new_symmetric(fill=b"z")}, body),
    ]:
        code, said = verify({**words, **wrong}, text)
        assert code == 1 and said.strip() and "valid" not in said.split(), (wrong, said)
    old, body = signed(at=time.time() - 3600)
    code, said = verify(old, body)
    assert code == 1 and "old" in said
    code, said = verify(*signed(at=time.time() + 3600))
    assert code == 1 and "ahead" in said
    assert verify(*signed(at=time.time() - 10), "--tolerance", "5")[0] == 1


def test_verify_ed25519(api, app, receiver, path):
    secret, public = signatures.new_asymmetric()
    api.new_endpoint(app, receiver.url(path), secret=secret)
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    words = {"--secret": public}
    for name in ("id", "timestamp", "signature"):
        words[f"--{name}"] = request.header(f"webhook-{name}")
    assert verify(words, request.body.decode()) == (0, "valid\n")
    words["--secret"] = signatures.new_asymmetric(fill=9)[1]
    assert verify(words, request.body.decode())[0] == 1


@pytest.mark.smoke
def test_verify_as_json():
    words, body = signed()
    code, said = verify(words, body, "--json")
    assert code == 0 and json.loads(said) == {"valid": True, "reason": None, "id": "msg_1"}
    code, said = verify(words, body + " ", "--json")
    assert code == 1 and json.loads(said) == {"valid": False, "reason": "no signature fits", "id": "msg_1"}


def test_verify_with_headers_as_they_came(api, app, receiver, path, tmp_path):
    """What a receiver wrote down, whatever else is among it, with the secret in a file."""
    endpoint = api.new_endpoint(app, receiver.url(path))
    (tmp_path / "secret").write_text(api.secret(app, endpoint) + "\n")
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    for prefix in ("webhook-", "svix-", "Webhook-"):
        signed = ("webhook-", "svix-")
        lines = [f"{name}: {value}" for name, value in request.headers if not name.lower().startswith(signed)]
        lines += [f"{prefix}{name}:  {request.header('webhook-' + name)} " for name in ("id", "timestamp", "signature")]
        words = [word for line in lines for word in ("--header", line)]
        flags = {"--secret-file": str(tmp_path / "secret")}
        assert verify(flags, request.body.decode(), *words) == (0, "valid\n")
        # A flag counts more than a header.
        assert verify({**flags, "--id": "msg_2"}, request.body.decode(), *words)[0] == 1


HMAC_SIGNATURES = [("hex", "sha256="), ("hex", ""), ("base64", "v0 "), ("base64", "")]


@pytest.mark.parametrize("encoding, prefix", HMAC_SIGNATURES)
def test_verify_hmac_of_an_endpoint(api, app, receiver, path, encoding, prefix):
    signature = {"scheme": "hmac-sha256", "header": "X-Sum", "encoding": encoding, "prefix": prefix}
    endpoint = api.new_endpoint(app, receiver.url(path), signature=signature)
    request = receiver.wait_message(api.send(app)["id"], path)[0]
    words = {"--secret": api.secret(app, endpoint), "--scheme": "hmac-sha256", "--signature": request.header("X-Sum")}
    assert words["--signature"].startswith(prefix)
    assert verify(words, request.body.decode()) == (0, "valid\n")
    code, said = verify(words, request.body.decode() + " ")
    assert code == 1 and "does not fit" in said
    words["--secret"] = signatures.new_symmetric(fill=b"z")
    assert verify(words, request.body.decode())[0] == 1


@pytest.mark.smoke
def test_verify_hmac_with_a_plain_secret():
    """As other systems sign: the secret is a text like any other."""
    mac = hmac.new(b"secret", b"{}", hashlib.sha256)
    words = {"--secret": "secret", "--scheme": "hmac-sha256", "--signature": mac.hexdigest()}
    assert verify(words, "{}") == (0, "valid\n")
    assert verify({**words, "--signature": "sha256=" + mac.hexdigest()}, "{}") == (0, "valid\n")
    assert verify({**words, "--signature": base64.b64encode(mac.digest()).decode()}, "{}") == (0, "valid\n")
    for wrong in (mac.hexdigest()[:-1], mac.hexdigest()[1:], "", mac.hexdigest() + " "):
        assert verify({**words, "--signature": wrong}, "{}")[0] == 1


@pytest.mark.smoke
def test_verify_used_badly(tmp_path):
    words, body = signed()
    for name in words:
        rest = [part for pair in words.items() if pair[0] != name for part in pair]
        is_usage_error(try_run("verify", *rest, input=body), name)
    flat = [part for pair in words.items() for part in pair]
    is_usage_error(try_run("verify", *flat, "--tolerance", "long", input=body), "--tolerance")
    is_usage_error(try_run("verify", *flat, "--tolerance", "-1", input=body), "--tolerance")
    is_usage_error(try_run("verify", *flat, "--scheme", "md5", input=body), "--scheme", '"md5"')
    is_usage_error(try_run("verify", *flat, "--header", "nothing", input=body), "--header", '"nothing"')
    missing = tmp_path / "no secret"
    is_failure(try_run("verify", *flat, "--secret-file", missing, input=body), missing)
    missing.write_text("\n")
    is_usage_error(try_run("verify", *flat, "--secret-file", missing, input=body), "--secret-file", "no secret")
    is_usage_error(try_run("verify", *flat, "--secret", "whsec_!", input=body), "--secret")
    is_failure(try_run("verify", *flat, "--file", str(tmp_path / "no")), tmp_path / "no")
