# SPDX-License-Identifier: Apache-2.0
"""Standard Webhooks verification, written from the specification and independent of the server and of the official
libraries (which know v1 only)."""

import base64
import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def new_symmetric(length=32, fill=b"k"):
    """A valid whsec_ secret, not random: tests are repeatable."""
    return "whsec_" + base64.b64encode((fill * length)[:length]).decode()


def new_asymmetric(fill=7):
    """(secret whsk_…, public whpk_…) of a fixed key."""
    seed = bytes([fill]) * 32
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whsk_" + base64.b64encode(seed + public).decode(), "whpk_" + base64.b64encode(public).decode()


def signed_text(request, prefix="webhook"):
    return b".".join(
        [request.header(f"{prefix}-id").encode(), request.header(f"{prefix}-timestamp").encode(), request.body]
    )


def signatures(request, prefix="webhook"):
    """The list of (version, base64 text) in the order of the header."""
    return [tuple(item.split(",", 1)) for item in request.header(f"{prefix}-signature").split(" ")]


def v1(secret, text):
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def verifies(key, request, prefix="webhook"):
    """Whether one of the request's signatures verifies with a whsec_ secret or a whpk_ public key."""
    return position_of(key, request, prefix) is not None


def position_of(key, request, prefix="webhook"):
    """The place in the list of the signature made with this key, or None."""
    text = signed_text(request, prefix)
    for position, (version, value) in enumerate(signatures(request, prefix)):
        if key.startswith("whsec_") and version == "v1" and hmac.compare_digest(value, v1(key, text)):
            return position
        if key.startswith("whpk_") and version == "v1a" and _ed25519(key, value, text):
            return position
    return None


def _ed25519(key, value, text):
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_"), validate=True))
    try:
        public.verify(base64.b64decode(value, validate=True), text)
    except InvalidSignature:
        return False
    return True
