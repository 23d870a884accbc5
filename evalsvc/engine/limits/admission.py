"""The permission to send one request."""

from __future__ import annotations


class Admission:
    """A slot held and a budget reserved, from `EndpointLimits.admit` to `EndpointLimits.finish`.

    ``admitted_at`` is on the limits' clock; ``slot_wait_s`` and ``quota_wait_s`` are the seconds it waited before,
    for a slot and for the budgets. The others are the limits' own books: the running number of this admission, the
    tokens reserved for it, and all tokens reserved up to and with it.
    """

    __slots__ = (
        "admitted_at",
        "chars",
        "model",
        "number",
        "quota_wait_s",
        "reserved_so_far",
        "slot_wait_s",
        "tokens",
    )

    def __init__(
        self, number: int, admitted_at: float, model: str, chars: int, tokens: float, reserved_so_far: float
    ) -> None:
        self.number = number
        self.admitted_at = admitted_at
        self.model = model
        self.chars = chars
        self.tokens = tokens
        self.reserved_so_far = reserved_so_far
        self.slot_wait_s = 0.0
        self.quota_wait_s = 0.0
