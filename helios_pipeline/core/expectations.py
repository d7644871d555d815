"""What is expected of a frame, stated once and apart from the library that looks whether it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One thing that holds for every sound frame.

    Attributes:
        kind: Great Expectations' name of it, such as `expect_column_values_to_be_between`.
        arguments: its arguments by Great Expectations' names.
        meaning: the same in words, for people.
    """

    kind: str
    arguments: Mapping[str, object]
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationSuite:
    """Everything that is expected of one asset's frames.

    Attributes:
        name: of the asset.
        key: column that names a row, to show which ones failed.
        expectations: at least one.
    """

    name: str
    key: str
    expectations: tuple[Expectation, ...]


UNEXPECTED_SCHEMA = pl.Schema({"expected": pl.String(), "row": pl.String(), "found": pl.String()})
"""expected: the meaning of what did not hold; row: key of a row that fails it, null where the whole frame does;
found: what is there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What a suite found in one frame.

    Attributes:
        evaluated: expectations that were looked at.
        unmet: how many of them did not hold.
        unexpected: what was found instead, `UNEXPECTED_SCHEMA`.
        page: address of the page that shows all of it, relative to the origin that serves the reports.
    """

    evaluated: int
    unmet: int
    unexpected: pl.DataFrame
    page: str
