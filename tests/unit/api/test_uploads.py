"""Multipart bodies, in whatever pieces they arrive and whatever they hold."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError
from evalsvc.api.uploads import receive_parts

BOUNDARY = b"bound"
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=40).filter(
    lambda name: name.isprintable() and not set(name) & set('"\\')
)
#: Contents that come close to what ends a part.
CONTENTS = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from([b"\r\n", b"--", b"\r", b"\n", b"bound", b"--bound", b"\r\n--boun", b"x"]), max_size=12
    ).map(b"".join),
).filter(lambda content: b"\r\n--bound" not in b"\r\n" + content)


class Sent:
    """As much of a request as is read."""

    def __init__(self, body: bytes, cuts: list[int]) -> None:
        self.headers = {"content-type": "multipart/form-data; boundary=bound"}
        places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
        self._pieces = [body[a:b] for a, b in pairwise(places)]

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def encoded(parts: dict[str, bytes]) -> bytes:
    body = b""
    for name, content in parts.items():
        body += b"--bound\r\nContent-Disposition: form-data; "
        body += b'name="%s"; filename="../../etc/x"\r\nContent-Type: a/b\r\n\r\n%s\r\n' % (name.encode(), content)
    return body + b"--bound--\r\n"


def received(body: bytes, cuts: list[int], **limits: Any) -> tuple[bytes, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        request: Any = Sent(body, cuts)

        async def read() -> tuple[bytes, dict[str, bytes]]:
            job, files = await receive_parts(request, folder, ApiLimits(**limits))
            return job, {name: path.read_bytes() for name, path in files.items()}

        try:
            return anyio.run(read)
        finally:
            assert all(path.name.startswith("part-") for path in folder.rglob("*"))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, CONTENTS, max_size=5), CONTENTS, st.lists(st.integers(0, 2000), max_size=30))
def test_parts_arrive_as_they_were_sent(files: dict[str, bytes], job: bytes, cuts: list[int]) -> None:
    files.pop("job", None)
    assert received(encoded({**files, "job": job}), cuts) == (job, files)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_any_body_is_parts_or_a_refusal(noise: bytes, at: int, cut: int) -> None:
    good = encoded({"job": b"x = 1", "a.jsonl": b"{}\r\n{}"})
    for body in (noise, good[:at] + noise + good[at:], good[:at]):
        with suppress(ApiError):  # and no other
            received(body, [cut])


def test_a_body_that_stops_early_is_refused_wherever_it_stops() -> None:
    good = encoded({"job": b"x = 1", "a.jsonl": b"{}"}).removesuffix(b"--\r\n")
    for end in range(len(good)):
        with pytest.raises(ApiError):
            received(good[:end], [])


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_number_of_parts_is_capped(parts: int) -> None:
    body = encoded({"job": b"", **{f"f{k}": b"" for k in range(parts - 1)}})
    assert len(received(body, [], parts=parts)[1]) == parts - 1
    with pytest.raises(ApiError) as caught:
        received(body, [], parts=parts - 1)
    assert caught.value.status == 413
