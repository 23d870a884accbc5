"""Events come out the same however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.providers.sse import Event, EventParser


def events(*pieces: bytes) -> list[Event]:
    parser = EventParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found + parser.close()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\n\r\ndata:b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")]),
        (b": ping\n\n:\n\ndata: a\n: in between\n\n", [(b"", b"a")]),
        (b"data: a\ndata:  b\ndata\n\n", [(b"", b"a\n b\n")]),
        (b"event: x\nid: 1\nretry: 5\n\nevent: y\ndata: a\n\n", [(b"y", b"a")]),
        (b'error: {"code":500}\n\n', [(b"error", b'{"code":500}')]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: [DONE]", [(b"", b"[DONE]")]),
        (b"<html>\n<p>no stream</p>", []),
        (b"", []),
    ],
)
def test_events(stream: bytes, expected: list[Event]) -> None:
    assert events(stream) == expected
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    data=st.data(),
)
def test_any_cut_gives_the_same_events(texts: list[str], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"data: " + text.encode() + end + end for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*pieces) == [(b"", text.encode()) for text in texts]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_read_to_the_end(pieces: list[bytes]) -> None:
    assert events(*pieces) == events(b"".join(pieces))
