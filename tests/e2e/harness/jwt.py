# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens made by hand, good and bad ones."""

import base64
import hashlib
import hmac
import json
import time


def _part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def make(secret, algorithm="HS256", digest=hashlib.sha256, without=(), **claims):
    """A token with sensible iat, nbf and exp unless given or named in `without`."""
    now = int(time.time())
    body = {"iat": now, "nbf": now, "exp": now + 3600, "iss": "somebody-else", **claims}
    for name in without:
        del body[name]
    head = _part(json.dumps({"typ": "JWT", "alg": algorithm}).encode())
    text = head + b"." + _part(json.dumps(body).encode())
    signature = b"" if digest is None else _part(hmac.new(secret.encode(), text, digest).digest())
    return (text + b"." + signature).decode()


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def header(token):
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
