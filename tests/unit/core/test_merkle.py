from __future__ import annotations

from hashlib import sha256
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.merkle import Tree, first_change, leaf_hash

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
# the roots over the first 0, 1, 2, … of them, as the tests of Certificate Transparency's reference code have them
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
Hashes: TypeAlias = list[bytes]


def by_definition(leaves: Hashes) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@pytest.mark.parametrize("count", range(len(ROOTS)))
def test_the_known_roots(count: int) -> None:
    tree = Tree(leaf_hash(bytes.fromhex(data)) for data in LEAVES[:count])
    assert (tree.count, tree.root) == (count, ROOTS[count])


@given(st.lists(st.binary(max_size=4), max_size=70), st.integers(0, 70))
def test_any_tree_in_any_pieces(data: list[bytes], cut: int) -> None:
    leaves = [leaf_hash(each) for each in data]
    tree = Tree(leaves[:cut])
    tree.extend(leaves[cut:])
    assert tree.root == by_definition(leaves).hex()
    assert tree.root == by_definition(leaves).hex()  # asking changes nothing


def test_a_leaf_is_no_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert Tree([left, right]).root != Tree([leaf_hash(left + right)]).root
    assert leaf_hash(b"") != sha256(b"").digest()


def test_marks_show_the_first_change() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(9)]
    before = Tree(leaves).marks
    assert first_change(before, before) is None
    for n in range(9):
        assert first_change(before, Tree([*leaves[:n], leaf_hash(b"x"), *leaves[n + 1 :]]).marks) == n
        assert first_change(before, Tree(leaves[:n]).marks) == n
        assert first_change(before, Tree([*leaves[:n], *leaves[n + 1 :]]).marks) == n
    assert first_change(before, Tree([*leaves, leaf_hash(b"x")]).marks) == 9
