"""Known keys, struck out of whatever a server says: one that was sent a key may repeat it, to whoever reads on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from evalsvc.core.records import Completion
from evalsvc.errors import Garbled, ProviderError
from evalsvc.providers.transport import Reply

#: What stands in place of a key.
STRUCK = "[key]"
#: A shorter one is a placeholder ("EMPTY", "ollama") that keeps nobody out, and may well be a word of an answer.
_SHORTEST = 8
#: More keys than this are looked for together: one by one is faster for few.
_ONE_BY_ONE = 8


class Secrets:
    """Strikes keys out; an answer without any passes as it is, for the price of a look.

    Args:
        keys: all that are known, whoever they belong to; a server may repeat what another one told it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        known = sorted({key for key in keys if len(key) >= _SHORTEST}, key=lambda key: (-len(key), key))
        # as they are, and as JSON writes them
        written = dict.fromkeys(form for key in known for form in (key.encode(), orjson.dumps(key)[1:-1]))
        self._written = tuple(written)
        self._in_bytes = re.compile(b"|".join(map(re.escape, written)) or rb"(?!)")
        self._in_text = re.compile("|".join(map(re.escape, known)) or "(?!)")

    def reply(self, reply: Reply) -> Reply:
        """The same answer, without keys before anything is read from it."""
        if not self._stands_in(reply.body):
            return reply
        return replace(reply, body=self._in_bytes.sub(STRUCK.encode(), reply.body))

    def completion(self, completion: Completion) -> Completion:
        """The same, for what came in pieces or in JSON that may write a letter in other ways. Raises `Garbled`."""
        if not self._written:
            return completion
        texts = {name: getattr(completion, name) for name in _TEXTS}
        values = {name: getattr(completion, name) for name in _VALUES}
        struck = {name: self.text(text) for name, text in texts.items() if text}
        struck |= {name: self._value(value) for name, value in values.items() if value}
        changed: dict[str, Any] = {name: value for name, value in struck.items() if value is not (texts | values)[name]}
        return replace(completion, **changed) if changed else completion

    def text(self, text: str) -> str:
        """The same of any text."""
        return self._in_text.sub(STRUCK, text)

    def error(self, error: ProviderError) -> ProviderError:
        """The same error, without keys wherever the server or a library repeated one."""
        error.args = tuple(self.text(str(part)) for part in error.args)
        return error

    def _value(self, value: Any) -> Any:
        try:
            body = orjson.dumps(value)
        except TypeError as error:
            raise Garbled(f"an answer that cannot be stored: {error}", status=200) from None
        return orjson.loads(self._in_bytes.sub(STRUCK.encode(), body)) if self._stands_in(body) else value

    def _stands_in(self, body: bytes) -> bool:
        if len(self._written) > _ONE_BY_ONE:
            return self._in_bytes.search(body) is not None
        return any(key in body for key in self._written)


#: What a server writes into a completion.
_TEXTS = ("text", "finish_reason", "refusal", "reasoning", "model", "fingerprint")
_VALUES = ("tool_calls", "logprobs")
