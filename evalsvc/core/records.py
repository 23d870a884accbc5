"""The records that pass through the house: Job → Case → Request → Completion → Score → Outcome.

All are frozen. Times are seconds; scores are numbers in [0, 1]; a value that is not known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _many(cls: type[T]) -> type[T]:
    """Decorator for records made on every request: frozen for the type checker only.

    A frozen dataclass sets each field through `object.__setattr__`, which takes three times as long: 3 of the 75 µs
    that a request costs besides its transport.
    """
    return dataclass(slots=True, kw_only=True)(cls)


#: Gates in the order of every table and record.
GATES = (
    "target_improvement",
    "general_regression",
    "exact_match",
    "latency_p99",
    "human_preference",
    "adversarial_robustness",
    "schema_compliance",
)

#: The keys of a case that a suite's ``fields`` may say where to find; ``choices`` are put into its input.
FIELDS = ("id", "input", "expected", "category", "tools", "schema", "metadata", "choices")

#: The endpoint of an arm whose answers are read from a file.
RECORDED = "recorded"


class Arm(StrEnum):
    """The two models of a job."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class Role(StrEnum):
    """What a suite is for."""

    TARGET = "target"
    GENERAL = "general"
    ADVERSARIAL = "adversarial"
    TRAIN = "train"


class Status(StrEnum):
    """The recorded end of a request."""

    OK = "ok"
    MODEL_ERROR = "model_error"
    INFRA_ERROR = "infra_error"


class Verdict(StrEnum):
    """What a gate found."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_MEASURED = "NOT_MEASURED"


class Decision(StrEnum):
    """What the job decided."""

    SHIP = "SHIP"
    ITERATE = "ITERATE"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpec:
    """One arm as the job file describes it: an endpoint's alias, a model and what is passed on to it.

    ``outputs`` is the file of its answers, relative to the job file, where the endpoint is `RECORDED`.
    """

    endpoint: str
    model: str
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    api: str = "chat"
    stream: bool = False
    outputs: str | None = None

    @property
    def recorded(self) -> bool:
        """Whether its answers were recorded before: no model is called, and no latency is known."""
        return self.endpoint == RECORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """The model that judged scorers ask. ``allow_self`` lets it be a model that it judges.

    ``cache`` is whether what it said once is taken for what it would say again: None, where its temperature is 0.
    """

    endpoint: str
    model: str
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    api: str = "chat"
    allow_self: bool = False
    cache: bool | None = None

    @property
    def cached(self) -> bool:
        """Whether answers of it are taken from earlier jobs."""
        return self.params.get("temperature") == 0 if self.cache is None else self.cache

    def judges_itself(self, arm: ArmSpec) -> bool:
        """Whether it goes by the name of an arm's model, wherever either is asked."""
        return arm.model == self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerSpec:
    """A scorer as the job file names it. ``options`` are the scorer's own; a case passes on a score ≥ ``pass_at``."""

    name: str
    label: str
    pass_at: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """How the cases of a suite are put to a model.

    ``template`` is a text with names in double braces. ``image`` is the key of a case's metadata that holds a picture.
    ``shots`` examples, drawn by ``seed`` from the file ``examples`` or else from the suite itself, stand before the
    question: as ``turns`` of a chat, or with it in one ``text``.
    """

    template: str = "{{input}}"
    system: str | None = None
    image: str | None = None
    examples: str | None = None
    shots: int = 0
    style: str = "turns"
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSpec:
    """A named set of cases with a role. ``scorers[0]`` is the primary, the one gates use.

    ``fields`` says where in a row of the data set a case's keys are found, where they are called otherwise there.
    ``cluster`` is the key of a case's metadata that says which cases belong together; None: each stands for itself.
    ``prompt`` is how its cases are put to a model; None: as they are. ``answers`` is the file of what is expected,
    where the data set keeps it apart.
    """

    name: str
    role: Role
    dataset: str
    format: str
    scorers: tuple[ScorerSpec, ...]
    fields: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    prompt: PromptSpec | None = None
    answers: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSpec:
    """What the job asks of one gate.

    ``threshold`` is the number its interval is held against: ``margin`` for target_improvement, ``-margin`` for
    general_regression, ``floor`` for schema_compliance, the job's ``threshold`` for the others.
    """

    name: str
    threshold: float
    required: bool = True
    waived: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: two arms, suites, gates.

    ``limit`` takes the first cases of each suite's planned order only; ``rate`` starts so many requests a second,
    whether or not earlier ones have been answered; ``stop`` is whether it may end before all are asked: ``never``,
    ``hybrid`` or ``anytime``. ``calibration`` is ``required`` where nothing ships without a stored one. ``judge`` is
    who judged scorers ask.
    """

    name: str
    seed: int
    trials: int
    rate: float | None = None
    stop: str = "never"
    arms: Mapping[Arm, ArmSpec]
    suites: tuple[SuiteSpec, ...]
    gates: tuple[GateSpec, ...]
    evidence: str = "interval"
    calibration: str = "optional"
    judge: JudgeSpec | None = None
    limit: int | None = None
    spec_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One item of a suite.

    ``input`` is a text or chat messages; ``position`` is its place in the job's one seeded order (0-based), ``line``
    its place in the data set (1-based, 0 when it did not come from one).
    """

    suite: str
    id: str
    category: str
    input: str | list[dict[str, Any]]
    expected: Any = None
    tools: list[dict[str, Any]] | None = None
    schema: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    line: int = field(default=0, compare=False)


@_many
class Request:
    """One logical model call: (job, case, arm, trial, step), asked of an endpoint with ``messages`` and ``params``.

    ``chars`` is the length of the prompt, from which its tokens are estimated before it is sent.
    """

    job: str
    case: Case
    arm: Arm
    trial: int
    step: str
    endpoint: str
    model: str
    messages: list[dict[str, Any]]
    params: Mapping[str, Any]
    chars: int = 0
    api: str = "chat"
    stream: bool = False


@_many
class Quota:
    """What an answer's headers say of the endpoint's limits: per minute, left, seconds until all is there again."""

    requests: float | None = None
    requests_left: float | None = None
    requests_reset_s: float | None = None
    tokens: float | None = None
    tokens_left: float | None = None
    tokens_reset_s: float | None = None


@_many
class Completion:
    """What came back from a model.

    ``latency_s`` runs from hand-over to the transport to the last byte received, ``first_byte_s`` to the first;
    ``first_token_s`` to the first piece of a streamed answer, None where it was not streamed. ``logprobs`` is as the
    server gave it. ``repaired`` says what had to be mended before the text could be stored (lone surrogates).
    """

    text: str
    finish_reason: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    reasoning: str | None = None
    logprobs: Any = None
    model: str | None = None
    fingerprint: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_s: float = 0.0
    first_byte_s: float | None = None
    first_token_s: float | None = None
    quota: Quota | None = None
    simulated: bool = False
    repaired: str | None = None

    @property
    def fault(self) -> str | None:
        """The kind of `Status.MODEL_ERROR` this is, or None for a usable answer."""
        if self.finish_reason == "length":
            return "truncated"
        if self.refusal or self.finish_reason == "content_filter":
            return "refused"
        if not self.tool_calls and not self.text.strip():
            return "empty"
        return None


@_many
class Score:
    """A scorer's word on one answer: ``value`` in [0, 1] and why. ``value`` None means the scorer could not score."""

    value: float | None
    explanation: str = ""


#: The explanation of an answer in which a scorer's `extract` matched nothing.
NOTHING_EXTRACTED = "nothing matched extract"
#: The explanation of a score that compares the arms, where only one has an answer.
NOT_COMPARED = "there is no answer of the other arm to compare with"


@_many
class CountedScore(Score):
    """A score with its share of a corpus score: ``parts`` are what is summed over all answers (counts of n-grams)."""

    parts: tuple[float, ...]


@_many
class Attempt:
    """One HTTP try of a request.

    The waits before it (for a retry's turn, a slot, the endpoint's quota) are counted apart from ``seconds``, its own
    duration; ``kind`` is None for an answer, else the error's kind.
    """

    seconds: float
    retry_wait_s: float = 0.0
    slot_wait_s: float = 0.0
    quota_wait_s: float = 0.0
    kind: str | None = None
    status: int | None = None
    tainted: bool = False


@_many
class Outcome:
    """The recorded end of a request.

    ``scores`` are by label, the primary first; empty on an `infra_error`. ``since_scheduled_s`` runs from when the
    request should have started to its last byte, all waits and attempts included. ``judged`` is whether it was asked of
    the job's judge, ``key`` what the same request is found by when it would be asked again; neither is filed with it.
    """

    case: Case
    arm: Arm
    trial: int
    step: str
    status: Status
    kind: str | None
    detail: str | None
    completion: Completion | None
    scores: Mapping[str, Score]
    attempts: tuple[Attempt, ...]
    since_scheduled_s: float
    finished_at: float
    judged: bool = False
    key: bytes | None = None
