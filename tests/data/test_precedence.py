from datetime import UTC, datetime, timedelta

import polars as pl

from helios_pipeline.data.precedence import merge_archive_over_rest

START = datetime(2024, 1, 1, tzinfo=UTC)


def rows(source: str, **closes: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "opened_at": [START + timedelta(minutes=int(key[1:])) for key in closes],
            "close": list(closes.values()),
            "source": source,
        },
        schema_overrides={"close": pl.Float64},
    )


def test_where_both_have_a_row_the_archives_is_kept_and_the_difference_recorded() -> None:
    archive = rows("archive", m0=1.0, m1=2.0)
    rest = rows("rest", m1=2.5, m2=3.0)

    merged, differences = merge_archive_over_rest(archive, rest, key=["opened_at"])

    assert merged["close"].to_list() == [1.0, 2.0, 3.0]
    assert merged["source"].to_list() == ["archive", "archive", "rest"]
    assert differences.rows() == [(START + timedelta(minutes=1), "close", 2.0, 2.5)]


def test_a_value_that_one_source_did_not_record_is_no_difference() -> None:
    _, differences = merge_archive_over_rest(rows("archive", m0=None), rows("rest", m0=2.0), key=["opened_at"])

    assert differences.is_empty()


def test_equal_rows_make_no_difference() -> None:
    both = rows("archive", m0=1.0, m1=2.0)

    merged, differences = merge_archive_over_rest(both, both, key=["opened_at"])

    assert merged.equals(both)
    assert differences.is_empty()


def test_what_the_archive_does_not_record_is_taken_from_rest() -> None:
    merged, differences = merge_archive_over_rest(rows("archive", m0=None), rows("rest", m0=2.0), key=["opened_at"])

    assert merged.to_dicts() == [{**rows("rest", m0=2.0).row(0, named=True), "source": "archive"}]
    assert differences.is_empty()
