"""The grammar of job.toml. Every key has a description: editors show it, errors quote it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from evalsvc.core.invalid import describe
from evalsvc.core.records import FIELDS, RECORDED, Role
from evalsvc.jobfile.gates import GatesTable, Table

#: The largest integer that every reader of JSON reads exactly (RFC 8785 allows none beyond).
MAX_INTEGER = 2**53 - 1

_RESERVED_PARAMS = {
    "n": "trials are separate requests: set trials = N at the top of the job",
    "stream": "how an answer travels is no parameter of the model; remove it",
    "model": "the model has a key of its own: put it beside endpoint",
    "messages": "what is asked comes from the data set; a system prompt goes into system",
}

_RECORDED_OR_ASKED: dict[str, Any] = {
    "if": {"properties": {"endpoint": {"const": RECORDED}}},
    "then": {"required": ["outputs"]},
    "else": {"properties": {"outputs": False}},
}


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be printable text on one line, without control characters")
    return text


def _alias(text: str) -> str:
    if "://" in text:
        raise ValueError("a job holds no URL: name an endpoint of config.toml ([endpoints.NAME])")
    return _printable(text)


def _asked(text: str) -> str:
    if text == RECORDED:
        raise ValueError("a judge is asked: name an endpoint of config.toml")
    return _alias(text)


def _as_table(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError(f"must be a scorer's name or a table with its options, got {describe(value)}")  # noqa: TRY004 - pydantic takes no TypeError
    return {"name": value} if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_printable)]
Path = Annotated[str, Field(min_length=1)]


class ArmTable(Table):
    """One of the two models that are compared."""

    model_config = ConfigDict(json_schema_extra=_RECORDED_OR_ASKED)

    endpoint: Annotated[str, AfterValidator(_alias)] = Field(
        description="an endpoint's alias in config.toml, or recorded; a job holds no URL and no key",
        json_schema_extra={"not": {"pattern": "://"}},
    )
    model: Name = Field(description="the model's name as its endpoint knows it")
    system: str | None = Field(default=None, description="a system prompt put before every case")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters passed on to the model as they are (temperature, max_tokens, ...)",
        json_schema_extra={"propertyNames": {"not": {"enum": list(_RESERVED_PARAMS)}}},
    )
    api: Literal["chat", "completions", "responses"] = Field(
        default="chat", description="which of the endpoint's APIs is asked"
    )
    stream: bool = Field(default=False, description="whether answers are streamed, which gives the time to first token")
    outputs: str | None = Field(
        default=None,
        min_length=1,
        description='with endpoint = "recorded": the file of the model\'s answers, relative to this job file',
    )


class JudgeTable(Table):
    """The model that judged scorers ask."""

    endpoint: Annotated[str, AfterValidator(_asked)] = Field(
        description="an endpoint's alias in config.toml; a job holds no URL and no key",
        json_schema_extra={"not": {"pattern": f"://|^{RECORDED}$"}},
    )
    model: Name = Field(description="the model's name as its endpoint knows it")
    system: str | None = Field(default=None, description="a system prompt put before what the scorer asks")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="parameters passed on to the judge as they are (temperature, max_tokens, ...)",
        json_schema_extra={"propertyNames": {"not": {"enum": list(_RESERVED_PARAMS)}}},
    )
    api: Literal["chat", "responses"] = Field(default="chat", description="which of the endpoint's APIs is asked")
    allow_self: bool = Field(default=False, description="whether it may be a model that it judges: the record warns")
    cache: bool | None = Field(
        default=None,
        description="whether what it said to the same words before is taken again; by default at temperature 0 only",
    )


class ScorerTable(Table):
    """A scorer with its options; further keys are the scorer's own."""

    model_config = ConfigDict(extra="allow")

    name: Name = Field(description="the scorer's name")
    label: Name = Field(
        default_factory=lambda fields: fields["name"],
        description="what its scores are called, unique in the suite; the scorer's name if not given",
    )
    pass_at: float = Field(default=1.0, gt=0, le=1, description="a case passes on a score of at least this")


Scorer = Annotated[ScorerTable, BeforeValidator(_as_table, json_schema_input_type=str | ScorerTable)]


class PromptTable(Table):
    """How the cases of a suite are put to a model."""

    template: str = Field(
        default="{{input}}",
        min_length=1,
        description="what is asked: a text with {{input}}, {{category}} or a key of the case's metadata in it",
    )
    system: str | None = Field(default=None, description="a system prompt of this suite, after the arm's own")
    image: Name | None = Field(
        default=None, description="a key of the case's metadata: the URL or data URI of a picture that is sent along"
    )
    shots: int = Field(default=0, ge=0, le=100, description="how many solved examples stand before each question")
    examples: Path | None = Field(
        default=None,
        description="the file the examples are drawn from, relative to this job file; without it, the suite itself",
    )
    style: Literal["turns", "text"] = Field(
        default="turns", description="examples as turns of the chat, or with the question in one text"
    )


class SuiteTable(Table):
    """A named set of cases."""

    name: Name = Field(description="the suite's name, unique in the job")
    role: Annotated[Role, Field(strict=False)] = Field(
        description="what the suite is for: target, general, adversarial or train"
    )
    dataset: str = Field(min_length=1, description="the file of its cases, relative to this job file")
    answers: Path | None = Field(
        default=None,
        description="the file of what is expected, relative to this job file, where a format keeps it apart (bfcl)",
    )
    format: Name = Field(
        default="auto",
        description="the data set's format; auto looks at the file",
        json_schema_extra={"examples": ["auto", "native", "openai-evals", "chat-finetune", "inspect", "csv"]},
    )
    fields: dict[str, Path] = Field(
        default_factory=dict,
        description="where in a row a case's keys are found: a key, a path, or a text with {{key}} in it",
        json_schema_extra={"propertyNames": {"enum": list(FIELDS)}},
    )
    cluster: Name | None = Field(
        default=None,
        description="a key of a case's metadata: cases with one value of it belong together (document, template, user)",
    )
    prompt: PromptTable | None = Field(
        default=None, description="how its cases are put to a model: template, system prompt, examples"
    )
    scorer: Scorer = Field(description="the primary scorer, the one gates use: a name, or a table with its options")
    also: list[Scorer] = Field(default_factory=list, description="further scorers, recorded beside the primary one")


class JobTable(Table):
    """A job: two arms, suites, gates."""

    name: Name = Field(description="the job's name, for people")
    seed: int = Field(default=0, ge=0, le=MAX_INTEGER, description="fixes the order of cases, sides and resampling")
    trials: int = Field(default=1, ge=1, le=10_000, description="how often each case is asked, in separate requests")
    rate: float | None = Field(
        default=None,
        ge=0.001,
        le=1_000_000,
        allow_inf_nan=False,
        description="requests a second at a fixed arrival rate; without it, as fast as the endpoints allow",
    )
    stop: Literal["never", "hybrid", "anytime"] = Field(
        default="never", description="whether the job may stop before all cases are asked: never, hybrid or anytime"
    )
    candidate: ArmTable = Field(description="the table [candidate]: the fine-tuned model")
    baseline: ArmTable = Field(description="the table [baseline]: the model run today")
    judge: JudgeTable | None = Field(default=None, description="the table [judge]: the model that judged scorers ask")
    suites: list[SuiteTable] = Field(min_length=1, description="at least one table [[suites]]: a named set of cases")
    gates: GatesTable = Field(default=GatesTable(), description="what is to be proven before the candidate ships")


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of job.toml, for editors: what is accepted, a description on every key."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **JobTable.model_json_schema(), "title": "evalsvc job"}


def reserved_param(params: dict[str, Any]) -> tuple[str, str] | None:
    """The first key of an arm's ``params`` that is not the model's to take, and what to do instead."""
    return next(((key, _RESERVED_PARAMS[key]) for key in params if key in _RESERVED_PARAMS), None)
