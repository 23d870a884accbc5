"""An endpoint as the engine holds it: its provider, its limits, its health, its retries."""

from __future__ import annotations

from dataclasses import dataclass

from evalsvc.engine.health import EndpointHealth
from evalsvc.engine.limits import EndpointLimits
from evalsvc.engine.retries import RetryBudget
from evalsvc.providers.base import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of the configuration, shared by all that ask it."""

    name: str
    provider: Provider
    limits: EndpointLimits
    health: EndpointHealth
    budget: RetryBudget
