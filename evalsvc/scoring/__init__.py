"""Scorers: pure functions of (case, completion). One file a family; importing this package registers all of them."""

from evalsvc.scoring import choice, match, numeric, overlap, structured

__all__ = ["choice", "match", "numeric", "overlap", "structured"]
