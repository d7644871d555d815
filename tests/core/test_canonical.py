import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.canonical import canonical_bytes, from_document, parse_canonical
from helios_pipeline.core.errors import ManifestError
from helios_pipeline.core.records import Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    text: str
    count: int
    fraction: float
    money: Decimal
    at: datetime
    maybe: float | None
    numbers: dict[str, int | float]
    costs: tuple[Costs, ...]


finite = st.floats(allow_nan=False, allow_infinity=False)
money = st.decimals(allow_nan=False, allow_infinity=False)
samples = st.builds(
    Sample,
    text=st.text(),
    count=st.integers(),
    fraction=finite,
    money=money,
    at=st.datetimes(timezones=st.just(UTC)),
    maybe=st.none() | finite,
    numbers=st.dictionaries(st.text(), st.integers() | finite, max_size=4),
    costs=st.tuples(
        st.builds(Costs, fee_fraction=money, half_spread_bps=money, slippage_bps=money, stop_slippage_bps=money)
    ),
)


@settings(deadline=None)
@given(samples)
def test_a_record_read_back_from_its_canonical_bytes_is_equal(sample: Sample) -> None:
    data = canonical_bytes(sample)
    read = from_document(Sample, parse_canonical(data, "sample"), "sample")

    assert read == sample
    assert {name: type(value) for name, value in read.numbers.items()} == {
        name: type(value) for name, value in sample.numbers.items()
    }
    assert canonical_bytes(read) == data


@settings(deadline=None)
@given(samples)
def test_a_database_that_reformats_json_changes_no_byte(sample: Sample) -> None:
    data = canonical_bytes(sample)
    reformatted = json.loads(json.dumps(json.loads(data), indent=3, sort_keys=False))

    assert canonical_bytes(reformatted) == data


def test_the_order_of_names_does_not_matter() -> None:
    assert canonical_bytes({"b": 1, "a": 0.1}) == canonical_bytes({"a": 0.1, "b": 1}) == b'{"a":"0.1","b":1}'


def test_an_instant_has_one_spelling_in_any_time_zone() -> None:
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC)

    assert canonical_bytes(noon) == canonical_bytes(noon.astimezone(timezone(timedelta(hours=9))))


@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, Decimal("NaN"), datetime(2025, 1, 1), {1, 2}, "\ud800"],  # noqa: DTZ001
)
def test_what_has_no_spelling_is_refused(value: object) -> None:
    with pytest.raises(ManifestError, match="canonical form: expected"):
        canonical_bytes({"value": value})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1.5}', b'{"a":1,"a":2}', b"[" * 100_000, b'"\\ud800"', b"\xff"],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestError, match=r"sample: expected JSON .* Restore the file"):
        parse_canonical(data, "sample")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("count", "1", r"sample\.count: expected int, found '1'"),
        ("count", True, r"sample\.count: expected int, found True"),
        ("money", "ten", r"sample\.money: expected Decimal, found 'ten'"),
        ("maybe", [], r"sample\.maybe: expected float or NoneType, found \[\]"),
        ("numbers", [], r"sample\.numbers: expected a dict"),
        ("costs", [{}], r"sample\.costs\[0\]: expected the fields"),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(field: str, value: object, message: str) -> None:
    document = {
        "text": "",
        "count": 1,
        "fraction": "0.5",
        "money": "1",
        "at": "2025-01-01T00:00:00+00:00",
        "maybe": None,
        "numbers": {},
        "costs": [],
    }

    with pytest.raises(ManifestError, match=message):
        from_document(Sample, {**document, field: value}, "sample")


def test_a_numpy_float_is_spelled_like_a_float() -> None:
    assert canonical_bytes(np.float64(0.1)) == canonical_bytes(0.1) == b'"0.1"'
