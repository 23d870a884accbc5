"""YAML as JSON: plain values only, nothing repeated without limit, every object with its line.

Built from the parser's events, so that nothing is made before it is counted. A plain scalar is what YAML 1.2's core
schema says it is (``no`` is a text, ``2024-01-01`` is one too).
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import yaml

from evalsvc.core.toml_source import KeyPath
from evalsvc.errors import JobError
from evalsvc.suites.base import DataSet

#: Values in a file, those an alias repeats counted each time.
_MOST_NODES = 1_000_000
_MOST_LEVELS = 100
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,20}|[0-9]{1,20}(\.[0-9]{0,20})?)([eE][-+]?[0-9]{1,3})?")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(raw: bytes, data_set: DataSet) -> tuple[Any, dict[int, int]]:
    """The one document of a YAML text, and the line of each object in it by `id`.

    Raises JobError with the line for what is no YAML, tags, keys twice in one object, keys that are no text, more than
    a million values (aliases counted each time) and more than 100 levels.
    """
    builder = _Builder(data_set)
    try:
        for event in yaml.parse(raw, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise data_set.error(f"not YAML: {error.problem}", line=line) from None
    except yaml.YAMLError as error:
        raise data_set.error(f"not YAML: {' '.join(str(error).split())}") from None
    return builder.document, builder.lines


class _Open:
    """An array or object whose end has not come yet."""

    __slots__ = ("anchor", "key", "nodes", "value")

    def __init__(self, value: Any, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.nodes = 1


class _Builder:
    def __init__(self, data_set: DataSet) -> None:
        self.document: Any = None
        self.lines: dict[int, int] = {}
        self._data_set = data_set
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._close(_Open(self._scalar(event), event.anchor), event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close(self._open.pop(), event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._error("a second document; one is read", event)

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        if event.tag is not None:
            raise self._error(f"the tag {event.tag} is not read: plain values only", event)
        if len(self._open) >= _MOST_LEVELS:
            raise self._error(f"nested deeper than {_MOST_LEVELS} levels", event)
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
            raise self._error("a key must be a text", event)
        value: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        if isinstance(value, dict):
            self.lines[id(value)] = _line(event)
        self._open.append(_Open(value, event.anchor))

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise self._error(f"the alias *{event.anchor} stands for nothing that was read before it", event)
        made = _Open(*self._anchors[event.anchor][:1], None)
        made.nodes = self._anchors[event.anchor][1]
        self._close(made, event)

    def _close(self, made: _Open, event: yaml.Event) -> None:
        """A value is whole: it goes where it belongs."""
        if made.anchor is not None:
            self._anchors[made.anchor] = (made.value, made.nodes)
        if not self._open:
            self.document = made.value
            return
        parent = self._open[-1]
        parent.nodes += made.nodes
        if parent.nodes > _MOST_NODES:
            raise self._error(f"more than {_MOST_NODES:,} values, aliases counted each time", event)
        if isinstance(parent.value, list):
            parent.value.append(made.value)
        elif parent.key is None:
            parent.key = self._key(parent.value, made.value, event)
        else:
            parent.value[parent.key] = made.value
            parent.key = None

    def _key(self, parent: dict[str, Any], key: Any, event: yaml.Event) -> str:
        text = key if isinstance(key, str) else getattr(event, "value", None)
        if not isinstance(text, str):
            raise self._error("a key must be a text", event)
        if text == "<<":
            raise self._error("merge keys (<<) are not read", event)
        if text in parent:
            raise self._error("stands twice in the same object", event, (text,))
        return text

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._error(f"the tag {event.tag} is not read: plain values only", event)
        text: str = event.value
        if event.tag is not None or not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
            return number
        return text

    def _error(self, message: str, event: yaml.Event, path: KeyPath = ()) -> JobError:
        return self._data_set.error(message, line=_line(event), path=path)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
