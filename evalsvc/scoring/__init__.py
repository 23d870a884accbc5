"""Scorers: pure functions of (case, completion). One file a family; importing this package registers them all."""

from evalsvc.scoring import choice, match, numeric, overlap, structured

__all__ = ["choice", "match", "numeric", "overlap", "structured"]
