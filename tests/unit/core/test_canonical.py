from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalsvc.core.canonical import MAX_INTEGER, dumps, dumps_row

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.one_of(
    st.none(),
    st.text(),
    st.integers(-MAX_INTEGER, MAX_INTEGER),
    NUMBERS,
    st.floats(0, 1),
    st.integers(0, 10**6).map(lambda n: n / 1e6),
)


def test_it_is_rfc_8785() -> None:
    # the example of RFC 8785, section 3.2.2
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\x0f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    wanted = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    assert dumps(value) == wanted.encode()


@given(st.lists(CELLS))
@example([0.0, -0.0, 1.0, 1e-4, 9.999e-5, 1e-5, 1e-6, 1.5e-7, 5e-324, 1e15, 1e15 + 0.5, 1e16, 1e20, 1e21, 1e22, -1e300])
@example([2**53 - 1, float(2**53 - 1), float(2**53), 2.0**53 + 2, 0.1 + 0.2, 123456789012345.67])
@example(["".join(map(chr, range(0x300))), "\u2028\u2029\x7f\ufeff\U0001f600", "/<>&"])
@settings(max_examples=200)
def test_the_fast_way_gives_the_same_bytes(row: list[str | float | None]) -> None:
    assert dumps_row(row) == rfc8785.dumps(row)
    assert json.loads(dumps_row(row), parse_int=float) == row


@pytest.mark.parametrize("digits", range(1, 18))
def test_numbers_of_every_length_and_size(digits: int) -> None:
    for exponent in range(-30, 31):
        row = [float(f"{mantissa}e{exponent}") for mantissa in ("1", "9" * digits, "1234567890123456789"[:digits])]
        assert dumps_row(row) == rfc8785.dumps(row)


@pytest.mark.parametrize("cell", [inf, -inf, nan, MAX_INTEGER + 1, -(2**70), "\ud800", b"bytes"])
def test_what_has_no_canonical_form_is_refused(cell: Any) -> None:
    for write in (dumps, dumps_row):
        with pytest.raises(ValueError, match=r".+"):
            write([cell])
