"""How a suite's cases are put to a model: ``[suites.prompt]`` of the job, applied.

A template is filled with what a case holds, never with what is expected of it; solved examples stand before the
question. No case is asked whose answer is shown: the suite's own examples are left out, with whatever asks the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from heapq import nsmallest
from typing import Any

from evalsvc.core.records import Case, PromptSpec
from evalsvc.suites.base import DataSet
from evalsvc.suites.fields import as_text, rendered
from evalsvc.suites.strict_json import Fault

Message = dict[str, Any]

_HOLE = re.compile(r"\{\{([^{}]*)\}\}")
_PICTURE = re.compile(r"https?://[^\s]+|data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+", re.IGNORECASE)
_PLAIN = "{{input}}"


def template_fault(template: str) -> str | None:
    """What is wrong with a template whatever the case, or None."""
    if "{%" in template or "{{" in _HOLE.sub("", template):
        return "only names in double braces are filled in: {{name}}; no filter, no condition, no loop"
    names = [name.strip() for name in _HOLE.findall(template)]
    if any("expected" in re.split(r"[.\[\]]+", name) for name in names):
        return "must not hold what is expected: the question would give its answer away"
    return None if names else "must hold a name in double braces, such as {{input}}: every case would ask the same"


def choose(cases: Iterable[Case], prompt: PromptSpec, data_set: DataSet) -> list[Case]:
    """The examples of a suite, in the order in which they are shown: the first by a hash of seed, suite and id.

    Raises:
        JobError: there are fewer cases that can be examples than ``prompt.shots``.
    """
    if not prompt.shots:
        return []
    fit = (case for case in cases if isinstance(case.input, str) and case.expected is not None and not case.tools)
    chosen = nsmallest(prompt.shots, fit, key=lambda case: _rank(prompt.seed, case))
    if len(chosen) < prompt.shots:
        raise data_set.error(
            f"holds {len(chosen)} cases that can be examples (a text as input, something expected, no tools); "
            f"shots = {prompt.shots}"
        )
    return chosen


def _rank(seed: int, case: Case) -> bytes:
    return blake2b(f"{seed}/{case.suite}/{case.id}".encode(), digest_size=16).digest()


class Prompter:
    """Puts cases as ``[suites.prompt]`` says.

    Args:
        prompt: what it says.
        examples: solved cases, in the order in which they are shown.
        own: whether they are the suite's own.
        source: the file they stand in.

    Raises:
        JobError: the template names what an example has not.
    """

    def __init__(self, prompt: PromptSpec, examples: Sequence[Case], source: DataSet, *, own: bool) -> None:
        self._prompt = prompt
        self._source = source
        self._own = own
        self._shots = [self._solved(case) for case in examples]
        self._shown = {self._asks(case): case for case in examples}

    def put(self, cases: Iterable[Case], data_set: DataSet) -> Iterator[Case]:
        """The cases as they are asked. Raises JobError with file, line and key."""
        for case in cases:
            try:
                if self._is_shown(case):
                    continue
                asked = self._asked(case)
            except Fault as fault:
                raise data_set.error(fault.message, line=case.line, path=fault.path) from None
            yield replace(case, input=asked)

    def _is_shown(self, case: Case) -> bool:
        """Whether its answer stands in the prompts; an error, where another file is to blame."""
        shown = self._shown.get(self._asks(case)) if self._shown else None
        if shown is None or self._own:
            return shown is not None
        said = f"asks what the example in line {shown.line} of {self._source.name} shows, with its answer"
        raise Fault(f"{said}; take it out of one of the files", ("input",))

    def _asks(self, case: Case) -> str:
        """What a case asks, without what does not make it another question: its id, capitals, spaces."""
        asked = self._question(replace(case, id="")) if isinstance(case.input, str) else as_text(case.input)
        return " ".join(asked.casefold().split())

    def _solved(self, case: Case) -> tuple[str, str]:
        try:
            return self._question(case), _answer(case)
        except Fault as fault:
            raise self._source.error(fault.message, line=case.line, path=fault.path) from None

    def _asked(self, case: Case) -> str | list[Message]:
        if self._prompt.style == "text" and self._shots:
            blocks = [_block(question, answer) for question, answer in self._shots]
            asked: str | list[Message] = "\n\n".join([*blocks, self._question(case)])
        elif isinstance(case.input, str):
            asked = self._question(case)
        else:
            asked = self._rewritten(case.input, case)
        if self._prompt.image is not None:
            asked = _with_picture(asked, case.metadata, self._prompt.image)
        return self._with_context(asked)

    def _question(self, case: Case) -> str:
        """The text of a case as it is asked."""
        if not isinstance(case.input, str):
            raise Fault('must be a text with style = "text": chat messages do not go into one', ("input",))
        return self._filled(case, case.input)

    def _filled(self, case: Case, text: str) -> str:
        scope = {**case.metadata, "metadata": case.metadata, "id": case.id, "category": case.category, "input": text}
        return rendered(self._prompt.template, scope, "prompt.template")

    def _rewritten(self, messages: list[Message], case: Case) -> list[Message]:
        """Chat messages, the template put over the text of the last one."""
        if self._prompt.template == _PLAIN:
            return messages
        last = messages[-1]
        content = last.get("content")
        if isinstance(content, str):
            return [*messages[:-1], last | {"content": self._filled(case, content)}]
        parts: list[Message] = content if isinstance(content, list) else []
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
        if not texts:
            raise Fault("its last message has no text that the template could take", ("input", len(messages) - 1))
        others = [part for part in parts if not isinstance(part.get("text"), str)]
        filled = {"type": "text", "text": self._filled(case, "".join(texts))}
        return [*messages[:-1], last | {"content": [*others, filled]}]

    def _with_context(self, asked: str | list[Message]) -> str | list[Message]:
        """System prompt and examples put before what is asked, after system messages of its own."""
        before: list[Message] = []
        if self._prompt.system is not None:
            before.append({"role": "system", "content": self._prompt.system})
        turns: list[Message] = []
        if self._prompt.style == "turns":
            for question, answer in self._shots:
                turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        if not before and not turns:
            return asked
        own = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        start = next((place for place, message in enumerate(own) if message["role"] not in ("system", "developer")), 0)
        return [*before, *own[:start], *turns, *own[start:]]


def _block(question: str, answer: str) -> str:
    return f"{question}{'' if question[-1:].isspace() else ' '}{answer}"


def _answer(case: Case) -> str:
    """What is expected of an example, as a model would say it; of several accepted answers the first."""
    expected = case.expected
    return as_text(expected[0] if isinstance(expected, list) and expected else expected)


def _with_picture(asked: str | list[Message], metadata: Mapping[str, Any], key: str) -> list[Message] | str:
    if key not in metadata:
        raise Fault("missing; the picture that goes with the case, or null", ("metadata", key))
    url = metadata[key]
    if url is None:
        return asked
    if not isinstance(url, str) or not _PICTURE.fullmatch(url):
        raise Fault("must be a picture: an http(s) URL, or data:image/...;base64,...", ("metadata", key))
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    last: Mapping[str, Any] = messages[-1]
    content = last.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    picture = {"type": "image_url", "image_url": {"url": url}}
    return [*messages[:-1], {**last, "content": [*parts, picture]}]
