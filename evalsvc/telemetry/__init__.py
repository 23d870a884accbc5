"""Prometheus metrics and the structured log: told of what happens, asked by nobody but a scrape."""

from __future__ import annotations

from evalsvc.telemetry.telemetry import Telemetry, make_telemetry

__all__ = ["Telemetry", "make_telemetry"]
