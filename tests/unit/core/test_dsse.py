from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import need
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from evalsvc.core.dsse import PAYLOAD_TYPE, PublicKey, Signer, payload_of

# RFC 8032, section 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)


def private_pem(key: Any = PRIVATE, encryption: Any = None) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return pem


def public_pem(key: Any = PRIVATE) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


SIGNER = Signer.from_pem(private_pem())
PUBLIC = PublicKey.from_pem(public_pem())


def test_what_is_signed_is_type_and_payload_with_their_lengths() -> None:
    envelope = SIGNER.sign(b'{"a":1}')
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    PRIVATE.public_key().verify(signature, b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}')
    assert (envelope["payloadType"], payload_of(envelope)) == (PAYLOAD_TYPE, b'{"a":1}')


def test_its_own_key_and_no_other_holds() -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    envelope = SIGNER.sign(b"x")
    assert PUBLIC.signed(envelope)
    assert not PublicKey.from_pem(public_pem(other)).signed(envelope)
    both = {**envelope, "signatures": [*Signer.from_pem(private_pem(other)).sign(b"x")["signatures"]]}
    assert not PUBLIC.signed(both)
    both["signatures"] += envelope["signatures"]
    assert PUBLIC.signed(both)
    envelope["signatures"][0]["keyid"] = "a hint, no more"
    assert PUBLIC.signed(envelope)


def test_any_change_of_what_is_signed_is_seen() -> None:
    payload = b"the payload"
    envelope = SIGNER.sign(payload)
    for place in range(len(payload) * 8):
        changed = bytearray(payload)
        changed[place // 8] ^= 1 << place % 8
        assert not PUBLIC.signed({**envelope, "payload": base64.b64encode(changed).decode()})
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    for place in range(len(signature) * 8):
        bad = bytearray(signature)
        bad[place // 8] ^= 1 << place % 8
        assert not PUBLIC.signed({**envelope, "signatures": [{"sig": base64.b64encode(bad).decode()}]})
    assert not PUBLIC.signed({**envelope, "signatures": []})
    assert not PUBLIC.signed({**envelope, "signatures": [{"sig": ""}]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payloadType": "application/json"}, "payloadType"),
        ({"payload": None}, "its payload is no base64"),
        ({"payload": "a b"}, "its payload is no base64"),
        ({"payload": "é"}, "its payload is no base64"),
        ({"signatures": {}}, "no array of objects"),
        ({"signatures": ["x"]}, "no array of objects"),
        ({"signatures": [{}]}, "its sig is no base64"),
    ],
)
def test_what_is_no_envelope_says_so(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PUBLIC.signed({**SIGNER.sign(b"x"), **change})


def test_the_keyid_is_what_openssl_prints(tmp_path: Path) -> None:
    openssl = need("openssl")
    (tmp_path / "pub").write_bytes(public_pem())
    der = subprocess.run(
        [openssl, "pkey", "-pubin", "-in", "pub", "-outform", "DER"], cwd=tmp_path, capture_output=True, check=True
    )
    digest = subprocess.run([openssl, "dgst", "-sha256"], input=der.stdout, capture_output=True, check=True)
    assert digest.stdout.decode().split()[-1] == PUBLIC.keyid == SIGNER.keyid


def test_openssl_makes_keys_and_checks_signatures(tmp_path: Path) -> None:
    openssl = need("openssl")

    def run(*arguments: str) -> str:
        done = subprocess.run([openssl, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    run("genpkey", "-algorithm", "ed25519", "-out", "key")
    run("pkey", "-in", "key", "-pubout", "-out", "key.pub")
    signer = Signer.from_pem((tmp_path / "key").read_bytes())
    envelope = signer.sign(b"payload")
    assert PublicKey.from_pem((tmp_path / "key.pub").read_bytes()).signed(envelope)
    (tmp_path / "message").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json 7 payload")
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    check = ("pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message", "-sigfile", "sig")
    assert "Verified Successfully" in run(*check)


def test_a_key_that_is_none_is_said_and_not_repeated() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    body = private_pem().splitlines()[1]
    broken = private_pem().replace(body, body[:-4])
    bad_private = {
        "encrypted": private_pem(encryption=BestAvailableEncryption(b"secret")),
        "no private key": public_pem(),
        "no private key in PEM": broken,
        "not Ed25519": private_pem(elliptic),
        "no private key in PEM; make one": b"",
    }
    for message, pem in bad_private.items():
        with pytest.raises(ValueError, match=message) as error:
            Signer.from_pem(pem)
        assert body.decode()[:20] not in str(error.value)
        assert error.value.__cause__ is None
    bad_public = {"private key": private_pem(), "no public key": b"nothing", "not Ed25519": public_pem(elliptic)}
    for message, pem in bad_public.items():
        with pytest.raises(ValueError, match=message):
            PublicKey.from_pem(pem)


def test_keys_are_not_shown() -> None:
    assert repr(SIGNER) == f"Signer(keyid={SIGNER.keyid!r})"
    assert str(PUBLIC) == f"PublicKey(keyid={PUBLIC.keyid!r})"
