"""What an answer's headers say of the endpoint's limits, in every known form.

OpenAI and those after it (``x-ratelimit-remaining-requests``, resets as Go durations), Anthropic
(``anthropic-ratelimit-requests-remaining``, resets as dates), per-minute names (Mistral, Cerebras), the generic
``x-ratelimit-remaining``, and the IETF drafts: three headers, or ``ratelimit: limit=100, remaining=50, reset=30``, or
``ratelimit: "default";r=50;t=30`` with the limit in ``ratelimit-policy``. What is no plain number is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from time import time

from evalsvc.core.records import Quota

#: Per form the names of limit, remaining and reset, of requests and of tokens.
_FORMS = (
    (
        *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        *("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ),
    (
        *("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"),
        *("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-tokens-limit"),
        *("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ),
    (
        *("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", "x-ratelimit-reset-req-minute"),
        *("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    ),
    ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "", "", ""),
    ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "", "", ""),
)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|d|h|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|d|h|m|s)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FIELD = re.compile(r"\b(limit|remaining|reset|[qrtw])\s*=\s*([\d.]+)")
#: A number from here on is a point in time: seconds since 1970, from the second on milliseconds.
_EPOCH_S, _EPOCH_MS = 1e9, 1e11


def quota_of(headers: Mapping[str, str]) -> Quota | None:
    """The limits per minute, what is left and the seconds to the reset; None where no header tells.

    Args:
        headers: of an answer; names are looked up in lower case.
    """
    for form in _FORMS:
        if form[1] in headers or (form[4] and form[4] in headers) or form[0] in headers:
            return _filled(form, headers)
    return _combined(headers) if "ratelimit" in headers else None


def _filled(form: tuple[str, ...], headers: Mapping[str, str]) -> Quota | None:
    requests, requests_left, requests_reset, tokens, tokens_left, tokens_reset = map(headers.get, form)
    return _some(
        Quota(
            requests=_per_minute(requests, headers.get("ratelimit-policy") or requests),
            requests_left=_number(requests_left),
            requests_reset_s=_reset(requests_reset, headers),
            tokens=_per_minute(tokens, tokens),
            tokens_left=_number(tokens_left),
            tokens_reset_s=_reset(tokens_reset, headers),
        )
    )


def _combined(headers: Mapping[str, str]) -> Quota | None:
    said = dict(_FIELD.findall(headers["ratelimit"]))
    policy = headers.get("ratelimit-policy", "")
    limit = said.get("limit") or dict(_FIELD.findall(policy)).get("q")
    return _some(
        Quota(
            requests=_per_minute(limit, policy),
            requests_left=_number(said.get("remaining") or said.get("r")),
            requests_reset_s=_reset(said.get("reset") or said.get("t"), headers),
        )
    )


def _some(quota: Quota) -> Quota | None:
    return None if quota == _NOTHING else quota


_NOTHING = Quota()


def _per_minute(value: str | None, policy: str | None) -> float | None:
    """A limit above 0; a policy names a window (``w``, seconds) other than a minute."""
    limit = _number(value)
    if not limit:
        return None
    window = _number(dict(_FIELD.findall(policy)).get("w")) if policy and "w" in policy else None
    return limit * 60.0 / window if window else limit


def _number(value: str | None) -> float | None:
    """A number from 0 on; of a list the first."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        head = re.split("[,;]", value, maxsplit=1)[0]
        return None if head == value else _number(head)
    return number if 0 <= number < inf else None


def _reset(value: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds from now, from seconds, a Go duration, a date or a point in time."""
    if not value:
        return None
    number = _number(value)
    if number is not None:
        if number < _EPOCH_S:
            return number
        return max(0.0, (number / 1000.0 if number >= _EPOCH_MS else number) - _now(headers))
    if _DURATION.fullmatch(value.strip()):
        seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
        return seconds if seconds < inf else None
    then = _date(value.strip())
    return None if then is None else max(0.0, then - _now(headers))


def _now(headers: Mapping[str, str]) -> float:
    """The server's own time, so that its clock may be wrong."""
    said = _date(headers.get("date", ""))
    return time() if said is None else said


def _date(value: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(value)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None
