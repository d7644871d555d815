"""Whole numbers as a CSV file of fixed decimals, exactly and fast."""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_WIDEST = 22
"""Characters of the longest number with sign and point, and its separator: int64 has 19 digits."""


def decimal_csv(header: str, columns: Sequence[Integers], decimals: Sequence[int]) -> bytes:
    """A CSV file of a header and one line a row.

    Args:
        header: first line, without its end.
        columns: int64[rows] each; a value stands for value / 10^decimals.
        decimals: decimals of each column, 0 to 18; all of them are written.
    """
    table = np.stack(columns, axis=1)
    places = np.array(decimals, np.int64)
    return header.encode() + b"\n" + _format_rows(table, places).tobytes()


@njit(cache=True, nogil=True)
def _format_rows(table: Integers, decimals: Integers) -> NDArray[np.uint8]:
    """Text of a table, one line a row, as ASCII bytes."""
    rows, columns = table.shape
    text = np.empty(rows * columns * _WIDEST, np.uint8)
    digits = np.empty(_WIDEST, np.uint8)
    end = 0
    for row in range(rows):
        for column in range(columns):
            rest = abs(table[row, column])
            if table[row, column] < 0:
                text[end] = ord("-")
                end += 1
            length = 0
            while rest > 0 or length <= decimals[column]:
                digits[length] = ord("0") + rest % 10
                rest //= 10
                length += 1
            for k in range(length - 1, -1, -1):
                text[end] = digits[k]
                end += 1
                if k == decimals[column] and k > 0:
                    text[end] = ord(".")
                    end += 1
            text[end] = ord("\n") if column == columns - 1 else ord(",")
            end += 1
    return text[:end].copy()
