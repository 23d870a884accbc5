"""Which of several calls is which of the wanted ones: order does not matter."""

from __future__ import annotations

from collections.abc import Sequence

#: Per wanted call, whether each call made agrees with it.
Agreement = Sequence[Sequence[bool]]


def at_best(agree: Agreement) -> dict[int, int]:
    """As many wanted calls as possible, each with the call that is taken for it (augmenting paths, Kuhn 1955)."""
    taken_for: dict[int, int] = {}  # call → wanted

    def place(wanted: int, tried: set[int]) -> bool:
        for call, agrees in enumerate(agree[wanted]):
            if agrees and call not in tried:
                tried.add(call)
                if call not in taken_for or place(taken_for[call], tried):
                    taken_for[call] = wanted
                    return True
        return False

    for wanted in range(len(agree)):
        place(wanted, set())
    return {wanted: call for call, wanted in taken_for.items()}


def in_turn(agree: Agreement) -> dict[int, int]:
    """Each wanted call in turn takes the first call left that agrees, as BFCL does."""
    pairs: dict[int, int] = {}
    for wanted, row in enumerate(agree):
        taken = set(pairs.values())
        call = next((call for call, agrees in enumerate(row) if agrees and call not in taken), None)
        if call is not None:
            pairs[wanted] = call
    return pairs
