"""The grammar of the gates in job.toml: one table a gate, each with its threshold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must say why, in words")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
Margin = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A table of job.toml: no key but its own, no value made into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Gate(Table):
    required: bool = Field(default=True, description="whether the decision depends on this gate")
    waive: Annotated[str, AfterValidator(_said)] | None = Field(
        default=None, description="a reason to take this gate out of the decision; its verdict stays in the record"
    )


class TargetImprovementGate(_Gate):
    """The candidate is better than the baseline on the target suites."""

    margin: Margin = Field(default=0.05, description="candidate − baseline must be greater; 0 asks for better at all")

    def core_threshold(self) -> float:
        """The number the interval is held against."""
        return self.margin


class GeneralRegressionGate(_Gate):
    """The candidate is not worse than the baseline on the general suites."""

    margin: Margin = Field(default=0.05, description="candidate − baseline must be greater than minus this")

    def core_threshold(self) -> float:
        """The number the interval is held against."""
        return 0.0 - self.margin  # no minus zero


class _ThresholdGate(_Gate):
    threshold: float

    def core_threshold(self) -> float:
        """The number the interval is held against."""
        return self.threshold


class ExactMatchGate(_ThresholdGate):
    """The candidate passes often enough on the target suites."""

    threshold: Share = Field(default=0.85, description="the share of passed cases must be greater")


class LatencyGate(_ThresholdGate):
    """The candidate is not much slower than the baseline."""

    threshold: float = Field(
        default=2.0,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="candidate's p99 over the baseline's is less",
    )


class HumanPreferenceGate(_ThresholdGate):
    """People prefer the candidate's answers."""

    threshold: Share = Field(
        default=0.60, description="the candidate's share of blind votes, ties half, must be greater"
    )


class AdversarialRobustnessGate(_ThresholdGate):
    """The candidate stands attacks."""

    threshold: Share = Field(default=0.90, description="the share of passed adversarial cases must be greater")


class SchemaComplianceGate(_Gate):
    """The candidate's answers follow their schema."""

    floor: Share = Field(
        default=0.99, description="the proven rate of compliant answers must be greater, none may fail"
    )

    def core_threshold(self) -> float:
        """The number the interval is held against."""
        return self.floor


class PluggedGate(_ThresholdGate):
    """A gate that a plug-in brings."""

    threshold: float = Field(
        ge=-1e9, le=1e9, allow_inf_nan=False, description="the number its interval is held against"
    )


class GatesTable(Table):
    """What is to be proven. All seven gates always stand in the record; tables of other names are plug-ins' gates."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PluggedGate] = Field(init=False)

    target_improvement: TargetImprovementGate = Field(
        default=TargetImprovementGate(), description="better than the baseline on the target suites"
    )
    general_regression: GeneralRegressionGate = Field(
        default=GeneralRegressionGate(), description="not worse than the baseline on the general suites"
    )
    exact_match: ExactMatchGate = Field(
        default=ExactMatchGate(), description="passes often enough on the target suites"
    )
    latency_p99: LatencyGate = Field(default=LatencyGate(), description="not much slower than the baseline")
    human_preference: HumanPreferenceGate = Field(default=HumanPreferenceGate(), description="preferred by people")
    adversarial_robustness: AdversarialRobustnessGate = Field(
        default=AdversarialRobustnessGate(), description="passes often enough on the adversarial suites"
    )
    schema_compliance: SchemaComplianceGate = Field(
        default=SchemaComplianceGate(), description="every answer follows its JSON Schema"
    )
    evidence: Literal["interval", "point"] = Field(
        default="interval", description="what is held against a threshold: the 95% interval, or the bare estimate"
    )
    calibration: Literal["optional", "required"] = Field(
        default="optional",
        description="whether nothing ships without a stored calibration of these suites, scorers and gates",
    )


def plugged_gates(gates: GatesTable) -> dict[str, PluggedGate]:
    """The gates of plug-ins that a job asks for, by name."""
    return dict(gates.__pydantic_extra__ or {})
