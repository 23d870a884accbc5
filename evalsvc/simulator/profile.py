"""The simulator's profile: which models it plays, how good they are, how fast, and what goes wrong with them.

A TOML file, parsed strictly::

    seed = 7
    answers = ["demo/tickets.jsonl"]      # where the right answers stand, relative to this file

    [models.my-model]
    accuracy = 0.9                        # share of cases answered right ...
    categories.edge = 0.6                 # ... where the case's category has no figure of its own
    latency = { median_s = 0.3, sigma = 0.4 }
    errors = { rate_429 = 0.02, retry_after_s = 0.5 }
    quota = { rpm = 600, tpm = 90000 }    # enforced; see `QuotaTerms`
"""

from __future__ import annotations

import re
import tomllib
from math import exp
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalsvc.errors import JobError
from evalsvc.simulator.quota import QuotaTerms

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
_FileName = Annotated[Path, Field(strict=False)]  # TOML has strings and arrays where we have paths and tuples

_NORMAL = NormalDist()


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Latency(_Table):
    """Lognormal answering time: ``median_s`` seconds, ``sigma`` of its logarithm, never below ``min_s``."""

    median_s: Seconds = 0.0
    sigma: Annotated[float, Field(ge=0, le=3)] = 0.0
    min_s: Seconds = 0.0

    def at(self, quantile: float) -> float:
        """Seconds at a quantile in (0, 1)."""
        return max(self.min_s, self.median_s * exp(self.sigma * _NORMAL.inv_cdf(quantile)))


class Errors(_Table):
    """Shares of what goes wrong.

    The first four strike an attempt, so that asking again can help; the last three are the model's own way with a
    case, so that asking again does not.
    """

    rate_429: Rate = 0.0
    retry_after_s: Seconds = 1.0
    rate_5xx: Rate = 0.0
    rate_hang: Rate = 0.0
    rate_malformed: Rate = 0.0
    rate_truncated: Rate = 0.0
    rate_refused: Rate = 0.0
    rate_empty: Rate = 0.0

    def attempt_faults(self) -> tuple[tuple[str, float], ...]:
        """(fault, share) of what strikes single attempts."""
        return (
            ("rate_limited", self.rate_429),
            ("server", self.rate_5xx),
            ("hang", self.rate_hang),
            ("malformed", self.rate_malformed),
        )

    def model_faults(self) -> tuple[tuple[str, float], ...]:
        """(fault, share) of what the model does with a case."""
        return (("truncated", self.rate_truncated), ("refused", self.rate_refused), ("empty", self.rate_empty))

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        for faults in (self.attempt_faults(), self.model_faults()):
            if sum(share for _, share in faults) > 1:
                raise ValueError(f"the rates of {', '.join(name for name, _ in faults)} add up to more than 1")
        return self


class JudgeManner(_Table):
    """How a model judges: shares in [0, 1] of the verdicts that have another reason than what is right.

    ``garbage`` are no verdicts at all; ``first`` prefer what is shown first, ``longer`` what is longer (of one answer
    alone: the higher the longer). ``gullible`` is the share of canaries (blank answers, opening phrases, orders to the
    judge) that it falls for.
    """

    gullible: Rate = 0.0
    first: Rate = 0.0
    longer: Rate = 0.0
    garbage: Rate = 0.0

    def whims(self) -> tuple[tuple[str, float], ...]:
        """(whim, share) of what decides instead of what is right."""
        return (("garbage", self.garbage), ("first", self.first), ("longer", self.longer))

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if sum(share for _, share in self.whims()) > 1:
            raise ValueError(f"{', '.join(name for name, _ in self.whims())} add up to more than 1")
        return self


class ModelProfile(_Table):
    """One model the simulator plays.

    ``accuracy`` is the share of cases it answers right, ``categories`` overrides it by the case's category.
    ``flaky`` is the chance that an ask is drawn afresh instead of getting the case's settled answer. ``quota`` is
    what it allows a minute. One with ``judge`` answers judges' prompts: ``accuracy`` is the share of verdicts that are
    right where none of its manners decides.
    """

    accuracy: Rate
    categories: dict[str, Rate] = Field(default_factory=dict)
    flaky: Rate = 0.0
    latency: Latency = Latency()
    errors: Errors = Errors()
    quota: QuotaTerms | None = None
    judge: JudgeManner | None = None

    def skill(self, category: str) -> float:
        """Chance in [0, 1] that a case of that category is answered right."""
        return self.categories.get(category, self.accuracy)


class Profile(_Table):
    """A whole profile. ``answers`` are data sets that hold the right answers; `load` resolves them."""

    seed: int = 0
    answers: Annotated[tuple[_FileName, ...], Field(strict=False)] = ()
    models: Annotated[dict[str, ModelProfile], Field(min_length=1)]

    @classmethod
    def default(cls) -> Profile:
        """The built-in profile: sim-baseline, sim-candidate, sim-regressed, sim-twin, and two judges."""
        return cls(seed=_DEFAULT_SEED, models=dict(_DEFAULT_MODELS))


def load(path: Path) -> Profile:
    """Reads a profile. Raises JobError with file, line or key."""
    try:
        profile = Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise JobError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UnicodeDecodeError as error:
        raise JobError(f"is not UTF-8 (byte {error.start})", file=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"is not TOML: {error}", file=str(path), line=_line(str(error))) from None
    except ValidationError as error:
        raise _first_error(error, path) from None
    answers = tuple(path.parent / answer for answer in profile.answers)
    return profile.model_copy(update={"answers": answers})


def _line(message: str) -> int | None:
    # tomllib of 3.11 tells the line in its message only
    found = re.search(r"at line (\d+)", message)
    return int(found[1]) if found else None


def _first_error(error: ValidationError, path: Path) -> JobError:
    first: Any = error.errors(include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        return JobError("is not a key of a simulator profile", file=str(path), key=key)
    message = first["msg"].removeprefix("Value error, ")
    return JobError(f"{message[:1].lower()}{message[1:]}", file=str(path), key=key or None)


# The categories of the example suites that are not the target: what a model must not unlearn. A category this table
# does not know, such as one of a user's own suites, gets the model's plain accuracy, as the target's do.
_OTHER_CATEGORIES = (
    *("sums", "products", "two-step"),
    *("geography", "science", "language"),
    *("override", "role-play", "smuggled"),
)


def _model(accuracy: float, other: float, median_s: float) -> ModelProfile:
    return ModelProfile(
        accuracy=accuracy,
        categories=dict.fromkeys(_OTHER_CATEGORIES, other),
        latency=Latency(median_s=median_s, sigma=0.25, min_s=median_s / 2),
    )


_DEFAULT_SEED = 2026
_DEFAULT_MODELS = {
    "sim-baseline": _model(0.78, 0.97, 0.12),
    "sim-candidate": _model(0.97, 0.98, 0.08),
    "sim-regressed": _model(0.95, 0.72, 0.08),
    "sim-twin": _model(0.78, 0.97, 0.12),
    "sim-judge": ModelProfile(accuracy=0.97, judge=JudgeManner()),
    "sim-judge-gullible": ModelProfile(accuracy=0.97, judge=JudgeManner(gullible=0.8, first=0.1, longer=0.2)),
}
