"""Merkle trees as RFC 6962, section 2.1 builds them, over SHA-256: one hash stands for a whole table.

A leaf is ``SHA-256(0x00 || data)``, a node ``SHA-256(0x01 || left || right)``. A tree of n > 1 leaves is a node over
the tree of the first k leaves, k the largest power of two below n, and the tree of the others; the tree of none is
``SHA-256()``.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

#: Bytes a leaf leaves behind in `Tree.marks`.
MARK_BYTES = 4


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf, 32 bytes."""
    return sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf, in memory of `MARK_BYTES` a leaf. ``count`` is how many it has."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.count = 0
        self._marks = bytearray()
        self._peaks: list[bytes] = []  # the roots of full trees, the largest first
        self.extend(leaves)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add the hashes of further leaves, each as `leaf_hash` gives it."""
        peaks = self._peaks
        for leaf in leaves:
            self._marks += leaf[:MARK_BYTES]
            self.count += 1
            peaks.append(leaf)
            size = self.count
            while not size & 1:  # two full trees of one size become one
                right = peaks.pop()
                peaks[-1] = _node(peaks[-1], right)
                size >>= 1

    @property
    def root(self) -> str:
        """The root over all leaves so far, in hex."""
        if not self._peaks:
            return sha256().hexdigest()
        *others, root = self._peaks
        for peak in reversed(others):
            root = _node(peak, root)
        return root.hex()

    @property
    def marks(self) -> bytearray:
        """The first bytes of every leaf. They prove nothing; where a root has changed they show at which leaf."""
        return self._marks


def first_change(before: bytes | bytearray, after: bytes | bytearray) -> int | None:
    """The 0-based leaf at which two trees' marks first differ, or None where one's are the other's."""
    for start in range(0, max(len(before), len(after)), MARK_BYTES):
        if before[start : start + MARK_BYTES] != after[start : start + MARK_BYTES]:
            return start // MARK_BYTES
    return None
