"""Why a judge did not answer: the server's words, made fit to stand in a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.evidence import Fault, FollowUpTotals
from evalsvc.decide.judge_faults import cause_of


def asked(failed: int, kind: str, detail: str | None) -> FollowUpTotals:
    fault = Fault(kind=kind, count=failed, detail=detail) if failed else None
    return FollowUpTotals(
        requests=440, failed=failed, attempts=440, cached=0, input_tokens=1, output_tokens=1, served_models=(),
        fault=fault,
    )  # fmt: skip


def test_nothing_is_said_where_nothing_failed() -> None:
    assert cause_of(None) is None
    assert cause_of(asked(0, "server", None)) is None


def test_the_help_is_for_what_was_refused() -> None:
    form = (
        "440 of 440 requests to the judge ended in rejected, no guided_json: set structured = false in the scorers that"
    )
    assert (cause_of(asked(440, "rejected", "no guided_json")) or "").startswith(form)
    assert (cause_of(asked(440, "rejected", "bad max_tokens")) or "").endswith("bad max_tokens: mend [judge] params")
    assert (cause_of(asked(440, "server", "bad max_tokens")) or "").endswith("ended in server, bad max_tokens")


def test_what_a_server_said_is_cut_and_on_one_line() -> None:
    why = cause_of(asked(1, "rejected", "HTTP 400: a\x1b[2J\n\u202eb" + "x" * 5000))
    assert why is not None
    assert "HTTP 400: a [2J bxxx" in why
    assert why.isprintable()
    assert len(why) < 400


@given(st.text(max_size=2_000))
def test_whatever_a_server_says_stays_short_and_on_one_line(said: str) -> None:
    why = cause_of(asked(1, "rejected", said)) or ""
    assert why.isprintable()
    assert len(why) < 400
