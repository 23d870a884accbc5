"""Signed envelopes: DSSE (github.com/secure-systems-lab/dsse, v1) with Ed25519 (RFC 8032).

What is signed is ``DSSEv1 <length of type> <type> <length of payload> <payload>``, lengths in bytes and decimal. A key
is named by the SHA-256 of its public half as DER (SubjectPublicKeyInfo), which
``openssl pkey -pubin -in KEY.pub -outform DER | sha256sum`` prints. Importing this module takes 30 ms: only who signs
or checks a signature does it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MAKE_ONE = "make one: openssl genpkey -algorithm ed25519 -out FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """Checks signatures. ``keyid`` names the key."""

    keyid: str
    key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """The key in a PEM file. Raises ValueError that says what is wrong with it."""
        if b"PRIVATE KEY" in pem:
            raise ValueError("holds a private key; give its public half: openssl pkey -in KEY -pubout -out KEY.pub")
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("holds no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("holds a key that is not Ed25519")  # noqa: TRY004 - the file is wrong, not a type
        return cls(keyid=_keyid(key), key=key)

    def signed(self, envelope: Mapping[str, Any]) -> bool:
        """Whether one of an envelope's signatures is this key's. Raises ValueError where it is no envelope."""
        message = _message(payload_of(envelope))
        return any(self._made(signature, message) for signature in _signatures(envelope))

    def _made(self, signature: bytes, message: bytes) -> bool:
        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs. ``keyid`` names the key."""

    keyid: str
    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """The key in a PEM file. Raises ValueError that says what is wrong with it, and repeats nothing of it."""
        try:
            key = load_pem_private_key(pem, password=None)
        except TypeError:
            raise ValueError("holds an encrypted key, and there is nobody to ask for its passphrase") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"holds no private key in PEM; {_MAKE_ONE}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"holds a key that is not Ed25519; {_MAKE_ONE}")  # noqa: TRY004 - as above
        return cls(keyid=_keyid(key.public_key()), key=key)

    def sign(self, payload: bytes) -> dict[str, Any]:
        """The envelope of a payload, ready for JSON."""
        signature = self.key.sign(_message(payload))
        return {
            "payloadType": PAYLOAD_TYPE,
            "payload": b64encode(payload).decode(),
            "signatures": [{"keyid": self.keyid, "sig": b64encode(signature).decode()}],
        }


def payload_of(envelope: Mapping[str, Any]) -> bytes:
    """What an envelope holds, its signatures unchecked. Raises ValueError where it is no envelope of ours."""
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise ValueError(f"its payloadType is not {PAYLOAD_TYPE}")
    return _decoded(envelope.get("payload"), "payload")


def _signatures(envelope: Mapping[str, Any]) -> list[bytes]:
    listed = envelope.get("signatures")
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ValueError("its signatures are no array of objects")
    return [_decoded(row.get("sig"), "sig") for row in listed]


def _decoded(text: object, key: str) -> bytes:
    try:
        return b64decode(text if isinstance(text, str) else "?", validate=True)
    except ValueError:
        raise ValueError(f"its {key} is no base64") from None


def _message(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _keyid(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
