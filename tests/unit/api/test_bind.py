"""Which addresses are listened on, which names are answered to."""

from __future__ import annotations

import pytest

from evalsvc.api.bind import Names, check_bind, host_of, is_loopback
from evalsvc.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_bind(host, has_tokens=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "evil.localhost.example", "example.org", "0", "127.1"]
)
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match="evalsvc token create") as caught:
        check_bind(host, has_tokens=False)
    assert caught.value.key == "server.host"
    check_bind(host, has_tokens=True)


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("127.0.0.1:8321", True),
        ("localhost", True),
        ("LocalHost.:80", True),
        ("[::1]:8321", True),
        ("eval.example.org:443", True),
        (None, False),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("192.0.2.1", False),
        ("localhost:x", False),
        ("localhost:80:80", False),
        ("[::1", False),
        ("[::1]evil.example", False),
        ("[evil.example]", False),
        ("evil@localhost", False),
        ("localhost/evil", False),
        ("localhost\x00", False),
    ],
)
def test_names_on_loopback(header: str | None, allowed: bool) -> None:
    assert Names("127.0.0.1", ["Eval.Example.org"]).allow(header) is allowed


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("192.0.2.1:8321", True),
        ("[2001:db8::1]", True),
        ("localhost", True),
        ("evil.example", False),
        ("1.2.3.4.5", False),
    ],
)
def test_names_beyond_this_machine(header: str, allowed: bool) -> None:
    assert Names("0.0.0.0").allow(header) is allowed


def test_the_host_of_an_authority() -> None:
    assert host_of("A.b:1") == "a.b"
    assert host_of("[::1]:1") == "::1"
    assert host_of("") is None
    assert host_of(":80") is None
