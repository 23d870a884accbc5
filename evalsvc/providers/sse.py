"""Server-sent events: bytes as they come in, events out (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from codecs import BOM_UTF8

#: An event's name and its data.
Event = tuple[bytes, bytes]


class EventParser:
    """Cuts a stream into events, wherever its pieces are cut. Works on bytes: no piece can split a character.

    Comments, ids and events without data are passed over. A field ``error`` (older llama.cpp) is an event of that name.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._name = b""
        self._data: list[bytes] = []
        self._at_start = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are whole with this piece."""
        if b"\n" not in chunk and b"\r" not in chunk:
            self._line.append(chunk)
            return []
        lines = b"".join((*self._line, chunk)).splitlines(keepends=True)
        # a carriage return at the end may be half of a line's end
        self._line = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        return self._events(lines)

    def close(self) -> list[Event]:
        """The event that the stream's end left without its empty line."""
        return self._events([*b"".join(self._line).splitlines(), b""])

    def _events(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n"))
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: bytes) -> Event | None:
        if self._at_start:
            line, self._at_start = line.removeprefix(BOM_UTF8), False
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        elif field == b"error":
            self._name = b"error"
            self._data.append(value)
        return None

    def _dispatch(self) -> Event | None:
        event = (self._name, b"\n".join(self._data)) if self._data else None
        self._name, self._data = b"", []
        return event
