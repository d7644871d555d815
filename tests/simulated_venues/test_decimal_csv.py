import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulated_venues.decimal_csv import decimal_csv

WIDEST = 2**63 - 1


@given(st.lists(st.tuples(st.integers(-WIDEST, WIDEST), st.integers(0, 18)), min_size=1, max_size=5))
def test_numbers_are_written_exactly_with_all_their_decimals(cells):
    columns = [np.array([value], np.int64) for value, _ in cells]
    line = decimal_csv("header", columns, [places for _, places in cells]).decode().splitlines()[1]

    for text, (value, places) in zip(line.split(","), cells, strict=True):
        assert int(text.replace(".", "")) == value
        assert (len(text) - text.index(".") - 1 if "." in text else 0) == places


def test_small_negative_and_zero_values_have_their_leading_zero_and_sign():
    columns = [np.array([0, -5, 12345], np.int64), np.array([7, 0, -7], np.int64)]

    assert decimal_csv("a,b", columns, [2, 0]) == b"a,b\n0.00,7\n-0.05,0\n123.45,-7\n"


def test_no_rows_leave_the_header():
    assert decimal_csv("a", [np.array([], np.int64)], [3]) == b"a\n"
