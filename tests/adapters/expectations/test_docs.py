"""Great Expectations behind its adapter: what it finds, and the pages it leaves."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from helios_pipeline.adapters.expectations.docs import DataDocs
from helios_pipeline.core.expectations import UNEXPECTED_SCHEMA, Expectation, ExpectationSuite

START = datetime(2024, 1, 1, tzinfo=UTC)
BTC = "BTCUSDT-PERP.BINANCE"
SUITE = ExpectationSuite(
    name="prices",
    key="at",
    expectations=(
        Expectation(
            kind="expect_column_values_to_be_between",
            arguments={"column": "price", "min_value": 0, "strict_min": True},
            meaning="prices are > 0",
        ),
        Expectation(
            kind="expect_table_row_count_to_be_between",
            arguments={"min_value": 0, "max_value": 4},
            meaning="there are at most four",
        ),
    ),
)


def prices(*values: float) -> pl.DataFrame:
    at = [START + k * timedelta(hours=1) for k in range(len(values))]
    return pl.DataFrame({"at": at, "price": values}, schema={"at": pl.Datetime("us", "UTC"), "price": pl.Float64})


@pytest.fixture
def docs(tmp_path: Path) -> DataDocs:
    return DataDocs(tmp_path / "docs", "/reports/data_docs/binance")


def validate(docs: DataDocs, frame: pl.DataFrame, month: str = "2024-01"):
    return docs.validate(frame, SUITE, instrument=BTC, month=month)


def test_a_frame_that_meets_the_suite_has_a_page_that_says_so(docs: DataDocs) -> None:
    result = validate(docs, prices(1.0, 2.0))

    assert (result.evaluated, result.unmet) == (2, 0)
    assert result.unexpected.equals(UNEXPECTED_SCHEMA.to_frame())
    assert result.page == f"/reports/data_docs/binance/prices/{BTC}/2024-01.html"
    page = (docs.folder / "prices" / BTC / "2024-01.html").read_text()
    assert "Everything that is expected holds for these 2 rows." in page
    assert "greater than" in page


def test_what_was_not_expected_is_told_with_its_row_in_words_and_on_the_page(docs: DataDocs) -> None:
    result = validate(docs, prices(1.0, -2.5, 3.0, 4.0, 5.0))

    assert (result.evaluated, result.unmet) == (2, 2)
    assert sorted(result.unexpected.rows(), key=str) == [
        ("prices are > 0", "2024-01-01 01:00:00+00:00", "price -2.5"),
        ("there are at most four", None, "5"),
    ]
    page = (docs.folder / "prices" / BTC / "2024-01.html").read_text()
    assert "prices are &gt; 0" in page
    assert "-2.5" in page


def test_a_frame_without_rows_is_as_expected(docs: DataDocs) -> None:
    assert validate(docs, prices()).unmet == 0


def test_an_expectation_that_cannot_be_looked_at_is_unmet(docs: DataDocs) -> None:
    result = validate(docs, prices(1.0).drop("price"))

    assert result.unmet == 1
    assert "price" in result.unexpected["found"][0]


def test_only_the_last_validation_of_a_month_is_kept_and_the_index_names_each(docs: DataDocs) -> None:
    validate(docs, prices(-1.0))
    validate(docs, prices(1.0))
    validate(docs, prices(1.0), month="2024-02")

    pages = sorted(str(path.relative_to(docs.folder)) for path in docs.folder.rglob("*") if path.is_file())
    assert pages == ["index.html", f"prices/{BTC}/2024-01.html", f"prices/{BTC}/2024-02.html"]
    assert "holds for these 1 rows" in (docs.folder / pages[1]).read_text()
    links = re.findall(r'href="([^"]+)"', (docs.folder / "index.html").read_text())
    assert links == pages[1:]


def test_pages_need_nothing_from_anywhere_else(docs: DataDocs) -> None:
    validate(docs, prices(1.0, -2.5))

    for path in docs.folder.rglob("*.html"):
        page = path.read_text()
        assert "<script" not in page
        assert "//" not in re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
        for target in re.findall(r'(?:href|src)="([^"#]+)"', page):
            assert (path.parent / target).is_file(), target
