"""Why a judge did not answer, in words, and what a job can do about it."""

from __future__ import annotations

import re

from evalsvc.core.evidence import Fault, FollowUpTotals

_EXCERPT = 200  # characters
#: What servers call the parameters that ask for a verdict's form, and those that a job sets itself.
_FORM = re.compile(r"response_format|json_schema|structured|guided|grammar|text\.format", re.IGNORECASE)
_PARAMS = re.compile(r"temperature|top_p|top_k|seed|max_(?:completion_|output_)?tokens|reasoning", re.IGNORECASE)


def cause_of(asked: FollowUpTotals | None) -> str | None:
    """Why requests to the judge failed, and what would help where that can be told; None where none failed."""
    fault = None if asked is None else asked.fault
    if asked is None or fault is None:
        return None
    said = "" if fault.detail is None else f", {_one_line(fault.detail)}"
    return f"{fault.count:,} of {asked.requests:,} requests to the judge ended in {fault.kind}{said}{_help(fault)}"


def _help(fault: Fault) -> str:
    told = fault.detail or ""
    if fault.kind == "truncated":
        return ": give it more tokens in [judge] params"
    if fault.kind != "rejected":
        return ""
    if _FORM.search(told):
        return ": set structured = false in the scorers that ask it"
    return ": mend [judge] params" if _PARAMS.search(told) else ""


def _one_line(text: str) -> str:
    """What a server said, short and printable; keys were struck out of it when it came."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _EXCERPT]).split())
    return line if len(line) <= _EXCERPT else f"{line[:_EXCERPT]}…"
