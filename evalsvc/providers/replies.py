"""HTTP answers of OpenAI-compatible servers → completion or error: every foreign answer is mapped in one place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import orjson

from evalsvc.core.records import Completion
from evalsvc.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextOverflow,
    Garbled,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from evalsvc.providers.quota import quota_of
from evalsvc.providers.transport import Reply

_CONTEXT = re.compile(
    r"context[_ ](length|window|size)|maximum context|max_model_len|(prompt|input) is too long"
    r"|too many (input )?tokens",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content_filter|content_policy|content management policy|responsible ai", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|billing_hard_limit|exceeded your current quota|credit balance", re.IGNORECASE)
_RATE = re.compile(r"rate.?limit", re.IGNORECASE)
_BUSY = re.compile(r"overloaded|unavailable|server_error|internal|timeout", re.IGNORECASE)
_SECRET = re.compile(r"\b(sk|pk|key|xai|gsk|hf)[-_][\w*.-]{8,}", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_EXCERPT = 200
_LABEL = 200
#: More is no count of tokens; the sum over millions of answers still fits 63 bits.
_MOST_TOKENS = 2**31
_BOM = b"\xef\xbb\xbf"
MENDED = "lone surrogates replaced"


def completion_of(reply: Reply) -> Completion:
    """The completion in an answer of ``/chat/completions`` or ``/completions``.

    Raises the `ProviderError` that the answer means.
    """
    if reply.status != 200:
        raise_for(reply)
    data, mended = parse(reply.body)
    return completion_from(data, reply, mended)


def completion_from(
    data: dict[str, Any], reply: Reply, mended: str | None, first_token_s: float | None = None
) -> Completion:
    """The completion in an answer's JSON; its times and headers are the reply's."""
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        if data.get("error"):
            raise_for_error_in_200(data["error"])
        raise Garbled("the answer has no choices", status=200)
    choice = choices[0]
    if choice.get("error") or choice.get("finish_reason") == "error":
        raise_for_error_in_200(choice.get("error") or "finish_reason = error")
    message = choice.get("message")
    if not isinstance(message, dict):
        if not isinstance(choice.get("text"), str):
            raise Garbled("the answer's first choice has no message", status=200)
        message = {"content": choice["text"]}
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text=_text(message.get("content")),
        finish_reason=label(choice.get("finish_reason")),
        refusal=string(message.get("refusal")),
        tool_calls=_tool_calls(message.get("tool_calls")),
        reasoning=string(message.get("reasoning_content")) or string(message.get("reasoning")),
        logprobs=_storable(choice.get("logprobs")),
        model=label(data.get("model")),
        fingerprint=label(data.get("system_fingerprint")),
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        latency_s=reply.total_s,
        first_byte_s=reply.first_byte_s,
        first_token_s=first_token_s,
        quota=quota_of(reply.headers),
        simulated="x-evalsvc-simulated" in reply.headers,
        repaired=mended,
    )


def parse(body: bytes) -> tuple[dict[str, Any], str | None]:
    """The JSON object in the body of an answer with status 200, and what had to be mended. Raises `Garbled`.

    orjson refuses lone surrogates, which broken tokenizers do emit as escapes: the slow path reads them and puts U+FFFD
    in their place, since no database and no terminal can hold them.
    """
    mended = None
    body = body.removeprefix(_BOM)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data, mended = mend(parse_surrogates(body)), MENDED
    if not isinstance(data, dict):
        raise Garbled("the answer is JSON, but no object", status=200)
    return data, mended


def parse_surrogates(body: bytes) -> Any:
    """JSON that orjson refuses because of lone surrogates, which stand in the result. Raises `Garbled`."""
    try:
        text = body.decode()
        return json.loads(text, parse_constant=_no_constant) if "\\ud" in text.lower() else _no_constant("")
    except (ValueError, RecursionError):
        excerpt = excerpt_of(body)
        sort = "HTML" if excerpt.lower().startswith(("<!doctype", "<html")) else "no JSON"
        raise Garbled(f"the answer is {sort}: {excerpt}", status=200) from None


def mend(data: Any) -> Any:
    """The same JSON value with pairs of surrogates joined and lone ones replaced. Raises `Garbled`."""
    try:
        text = json.dumps(data, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return orjson.loads(text)
    except (ValueError, RecursionError):
        raise Garbled("the answer's JSON is beyond mending", status=200) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def raise_for(reply: Reply) -> NoReturn:
    """Raise what an answer with a status other than 200 means."""
    status = reply.status
    error = _mapped(status, f"HTTP {status}: {excerpt_of(reply.body)}", retry_after(reply.headers))
    error.status = status
    error.quota = quota_of(reply.headers)
    raise error


def _mapped(status: int, message: str, wait: float | None) -> ProviderError:
    error: ProviderError
    if status == 429:
        error = QuotaExhausted(message) if _QUOTA.search(message) else RateLimited(message, retry_after=wait)
    elif status >= 500:
        error = Overloaded(message, retry_after=wait)
    elif status in (401, 403):
        error = AuthenticationFailed(message)
    elif status == 404:
        error = ModelNotFound(message)
    elif status in (400, 413, 422) and _CONTEXT.search(message):
        error = ContextOverflow(message)
    elif status == 400 and _FILTERED.search(message):
        error = ContentRefused(message)
    else:
        error = RequestRejected(message) if status >= 400 else Garbled(message)
    return error


def raise_for_error_in_200(error: Any) -> NoReturn:
    """Raise what an ``error`` object inside an answer or a stream with status 200 means."""
    words = json.dumps(error, ensure_ascii=False).encode("utf-8", "replace")
    message = f"an error inside HTTP 200: {excerpt_of(words)}"
    found = _mapped(_code_of(error, message), message, None)
    found.status = 200
    raise found


def _code_of(error: Any, message: str) -> int:
    """The status the error would have had: its own code, else by its words; 200 where they tell nothing."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return code
    if _QUOTA.search(message) or _RATE.search(message):
        return 429
    if _CONTEXT.search(message) or _FILTERED.search(message):
        return 400
    return 500 if _BUSY.search(message) else 200


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The server's own waiting time in seconds, or None.

    Read from ``retry-after-ms``, else ``retry-after`` in seconds or as a date (held against the answer's own ``date``).
    """
    value = headers.get("retry-after-ms")
    if value is not None:
        return _seconds(value, 0.001)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _seconds(value, 1.0)
    return seconds if seconds is not None else _until(value, headers.get("date"), now)


def _seconds(value: str, unit: float) -> float | None:
    try:
        seconds = float(value) * unit
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _until(value: str, date: str | None, now: datetime | None) -> float | None:
    try:
        then = parsedate_to_datetime(value)
        reference = parsedate_to_datetime(date) if date else now or datetime.now(UTC)
        return max(0.0, (then - reference).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def excerpt_of(body: bytes) -> str:
    """The start of a foreign body, on one line, without control characters or anything that looks like a key."""
    text = body[: 4 * _EXCERPT].decode("utf-8", "replace")
    text = _SECRET.sub("[key]", _UNPRINTABLE.sub(" ", text)).strip()
    return text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "") if text else "(empty)"


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, dict) and "text" in part]
        if all(isinstance(text, str) for text in texts):
            return "".join(texts)
    raise Garbled("the message's content is no text", status=200)


def string(value: Any) -> str | None:
    """A text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def label(value: Any) -> str | None:
    """A short text such as a model's name, cut where no honest one would still go on."""
    return value[:_LABEL] if isinstance(value, str) and value else None


def _tool_calls(value: Any) -> list[dict[str, Any]] | None:
    calls = [call for call in value if isinstance(call, dict)] if isinstance(value, list) else []
    return _storable(calls) or None


def _storable(value: Any) -> Any:
    """The value itself, if it can be written as JSON again: what is read may be nested deeper than what is written."""
    try:
        if value:
            orjson.dumps(value)
    except TypeError:
        raise Garbled("the answer is nested too deep", status=200) from None
    return value


def count(value: Any) -> int | None:
    """A number of tokens, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None
