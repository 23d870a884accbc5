"""Scores that need what will not come with the answers: log-probabilities. Said before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator

from evalsvc.app.prepare import PreparedJob
from evalsvc.core.records import Arm, ArmSpec
from evalsvc.scoring.perplexity import Perplexity


def without_logprobs(prepared: PreparedJob) -> Iterator[str]:
    """A warning for each arm none of whose answers a scorer can score; one for both where it is for one reason."""
    labels = [f"{label} of the suite {suite}" for suite, label in _wanting(prepared)]
    whys: dict[str, list[str]] = {}
    for arm, spec in prepared.job.arms.items():
        why = _why_none(arm, spec)
        if why is not None and labels:
            whys.setdefault(why, []).append(f"the {arm}")
    for why, arms in whys.items():
        yield f"No answer of {' and '.join(arms)} will have the score {' or '.join(labels)}: {why}."


def _wanting(prepared: PreparedJob) -> Iterator[tuple[str, str]]:
    for suite, scorers in prepared.scorers.items():
        for label, scorer in scorers:
            if isinstance(scorer, Perplexity) and scorer.mode == "completion":
                yield suite, label


def _why_none(arm: Arm, spec: ArmSpec) -> str | None:
    """Why no log-probabilities come with the answers; None where they may."""
    if spec.recorded:
        return "recorded answers bring no log-probabilities"
    if spec.api == "responses":
        return None  # there they are one of many things to include
    asked_for = spec.params.get("logprobs")
    if asked_for is None or asked_for is False:  # 0 asks `/completions` for those of the answer alone
        wanted = "1" if spec.api == "completions" else "true"
        return f"its log-probabilities are not asked for; set logprobs = {wanted} in the params of [{arm}]"
    return None
