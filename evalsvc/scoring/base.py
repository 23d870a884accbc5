"""The contract of a scorer, the registry of all of them, and the factory that turns a job's words into one.

A scorer is one frozen dataclass in one file: its fields are its options, their defaults the defaults of the job file::

    @scorer("shouts")
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Shouts(Scorer):
        at_least: Annotated[int, Field(ge=1)] = 1

        def check(self, case: Case) -> str | None:
            return None

        def score(self, case: Case, completion: Completion) -> Score:
            return Score(value=float(completion.text.count("!") >= self.at_least))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from evalsvc.core.nearest import did_you_mean
from evalsvc.core.records import Case, Completion, Score, ScorerSpec
from evalsvc.core.registry import Registry
from evalsvc.errors import JobError, ScoringError


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusScore:
    """A score of all answers together, in [0, 1], and what has to be the same for two of them to be comparable."""

    value: float
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """One more request that a score needs, and how what comes back becomes the score, or asks for yet another.

    It is recorded as an outcome of its own, under the same limits, retries and counts as any other. ``step`` names it
    within its score: its outcome has the step ``LABEL`` of the score where it is empty, else ``LABEL/step`` (so a chain
    is ``LABEL``, ``LABEL/swapped``); a canary's ``LABEL/canary/NAME``, then ``LABEL/canary/NAME/step``. ``of`` is who
    is asked: the job's judge (by ``judged`` scorers only, and they ask nobody else), or the model that gave the answer.
    ``messages`` and ``params`` are what it is asked with: a judge's own ``params`` have the last word, and it is asked
    on its own ``api``; a model is asked with these and no others. For ``completions`` the one message's content is the
    prompt as it is. ``cut`` is whether what was cut off is read too, as is all that comes of ``max_tokens = 0``.
    """

    step: str
    of: Literal["judge", "model"]
    messages: list[dict[str, Any]]
    read: Callable[[Completion], Score | FollowUp]
    params: Mapping[str, Any] = field(default_factory=dict)
    api: str = "chat"
    cut: bool = False


class Scorer(ABC):
    """Scores one answer to one case. Pure: no I/O, no clock, no state."""

    __slots__ = ()

    #: The key of a case that `check` is about.
    needs: ClassVar[str] = "expected"
    #: Whether there is a score of all answers together: the scores are `CountedScore`s, and `aggregate` is called.
    corpus: ClassVar[bool] = False
    #: The least and the greatest score; one that reaches beyond 0 to 1 cannot be a primary's.
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def offload(self) -> bool:
        """Whether a score may take long (a user's pattern, say) and belongs into a worker thread."""
        return False

    @abstractmethod
    def check(self, case: Case) -> str | None:
        """Says what the case lacks for this scorer, or None; asked before a request is spent on the case."""

    @abstractmethod
    def score(self, case: Case, completion: Completion) -> Score:
        """The score of an answer to a case that passed `check`: a value in [0, 1] and a short explanation.

        Raises:
            ScoringError: this answer cannot be scored; its score is missing.
        """

    def fault(self, case: Case, why: str) -> Score:  # noqa: ARG002 - a corpus scorer asks how much was expected
        """The score of an answer that is none (cut off, refused, empty): 0, whatever its text says.

        Where scores have other bounds than 0 and 1, 0 says nothing of the kind: then it is missing.
        """
        return Score(value=0.0 if self.bounds == (0.0, 1.0) else None, explanation=why)

    def aggregate(self, parts: Sequence[float]) -> CorpusScore:
        """The corpus score of `parts` summed over at least one answer; for scorers with `corpus` only."""
        raise NotImplementedError


class AskingScorer(Scorer):
    """A scorer that takes a model: instead of a score it gives the request that leads to one. Pure like any other."""

    __slots__ = ()

    #: Whether it compares the answers of both arms to a case: `follow_up_pair` is called, and not `follow_up`.
    paired: ClassVar[bool] = False
    #: Whether it asks the job's judge, who is tried with `canaries` first.
    judged: ClassVar[bool] = False

    @property
    def calls(self) -> int:
        """How many requests a score takes as a rule, for who plans a job; 0: it asks nobody."""
        return 1

    def follow_up(self, case: Case, completion: Completion) -> Score | FollowUp:
        """The score of an answer, or the request it takes.

        Raises:
            ScoringError: this answer cannot be scored; its score is missing.
        """
        raise NotImplementedError

    def follow_up_pair(self, case: Case, candidate: Completion, baseline: Completion) -> Score | FollowUp:
        """The candidate's score beside the baseline's, which is 1 minus it; for scorers with `paired`.

        Raises:
            ScoringError: these answers cannot be compared; the scores of both are missing.
        """
        raise NotImplementedError

    def canaries(self, case: Case, completion: Completion) -> Iterable[tuple[str, FollowUp]]:  # noqa: ARG002 - each judge has its own
        """Answers that deserve nothing, by name, each with a follow-up whose score is 0 unless the judge is fooled.

        Paired scorers put them beside ``completion``, the baseline's real answer to the case. Others are asked for them
        also where the candidate's failed: it is empty then.
        """
        return ()

    def score(self, case: Case, completion: Completion) -> Score:  # noqa: ARG002 - the contract of a scorer
        """Never called: see `follow_up`."""
        raise ScoringError("this scorer takes a model")


def is_judged(scorer: Scorer) -> bool:
    """Whether a scorer asks the job's judge."""
    return isinstance(scorer, AskingScorer) and scorer.judged


SCORERS: Registry[type[Scorer]] = Registry("scorer")

S = TypeVar("S", bound=Scorer)


def scorer(name: str) -> Callable[[type[S]], type[S]]:
    """Decorator that files a scorer under the name job files use. Raises ValueError when the name is taken."""

    def file(plugin: type[S]) -> type[S]:
        SCORERS.register(name)(plugin)
        return plugin

    return file


def build(spec: ScorerSpec) -> Scorer:
    """The scorer a job file asks for.

    Raises:
        JobError: unknown scorer, an option is lacking, or two do not go together (``key`` is its label); unknown or
            wrong option (``key`` is the option's name).
    """
    try:
        plugin = SCORERS[spec.name]
    except LookupError as error:
        raise JobError(str(error), key=spec.label or spec.name) from None
    known = [field.name for field in fields(cast(Any, plugin))]
    takes = f"{spec.name} takes: {', '.join(known) or 'no options'}"
    hints = get_type_hints(plugin, include_extras=True)
    for option, value in spec.options.items():
        if option not in known:
            raise JobError(f"unknown option; {did_you_mean(option, known)}{takes}", key=option)
        if wrong := _mismatch(value, hints[option]):
            raise JobError(f"{wrong}; {takes}", key=option)
    lacking = [
        option.name for option in fields(cast(Any, plugin)) if option.name not in spec.options and _required(option)
    ]
    if lacking:
        raise JobError(f"needs the option {lacking[0]}; {takes}", key=spec.label or spec.name)
    try:
        return plugin(**spec.options)
    except ValueError as error:
        raise JobError(f"{error}; {takes}", key=spec.label or spec.name) from None


def _required(option: Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


def _mismatch(value: object, wanted: Any) -> str | None:
    try:
        TypeAdapter(wanted).validate_python(value, strict=True)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
    return None
