"""Suites run by Great Expectations, and the last result of each partition as a page of its Data Docs.

Great Expectations takes seconds to load, so it is imported by the first validation of a process. Of its pages only the
sections are used: around them it would put styles and scripts of a dozen other hosts, without which a page can't be
read, and a counter of who reads it.
"""

import os
import secrets
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from helios_pipeline.adapters.expectations.page import index_html, page_html
from helios_pipeline.core.expectations import UNEXPECTED_SCHEMA, ExpectationSuite, SuiteResult

ROWS_SHOWN = 20
"""Failing rows that a page lists per expectation."""

_MEANING = "meaning"


class DataDocs:
    """Validates frames and keeps one page per asset, instrument and month: that of the last validation.

    Args:
        folder: where pages go, `<asset>/<instrument>/<month>.html`, with an index.
        address: of that folder, relative to the origin that serves it, e.g. `/reports/data_docs/binance`.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self._address = address.rstrip("/")
        self._made: Any = None

    def validate(self, frame: pl.DataFrame, suite: ExpectationSuite, *, instrument: str, month: str) -> SuiteResult:
        """Look whether a frame meets a suite, and write the page that says so."""
        found = self._run(frame, suite)
        where = f"{suite.name}/{instrument}/{month}.html"
        unmet = {
            str(result.expectation_config.meta[_MEANING]): _unexpected(result, suite.key)
            for result in found.results
            if not result.success
        }
        title = f"{suite.name} of {instrument}, {month}"
        _replace(self.folder / where, page_html(title, _sections(found), rows=frame.height, unmet=list(unmet)))
        _replace(self.folder / "index.html", index_html(self._pages()))
        rows = [(meaning, row, value) for meaning, each in unmet.items() for row, value in each]
        return SuiteResult(
            evaluated=len(found.results),
            unmet=len(unmet),
            unexpected=pl.DataFrame(rows, schema=UNEXPECTED_SCHEMA, orient="row"),
            page=f"{self._address}/{where}",
        )

    def _run(self, frame: pl.DataFrame, suite: ExpectationSuite) -> Any:  # noqa: ANN401 - of a library loaded late
        """Great Expectations' own result; failing rows are looked up only if there are any, which is half as dear."""
        batch = self._batches().get_batch({"dataframe": frame.to_pandas()})
        expected = _translate(suite)
        result = batch.validate(expected, result_format="BASIC")
        if result.success:
            return result
        return batch.validate(
            expected,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [suite.key],
                "partial_unexpected_count": ROWS_SHOWN,
                "return_unexpected_index_query": False,
            },
        )

    def _batches(self) -> Any:  # noqa: ANN401 - see `_run`
        """What turns frames into what Great Expectations judges, made once in a process."""
        if self._made is None:
            # Read while it is imported: nothing is sent anywhere.
            os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig

            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = ProgressBarsConfig(globally=False)
            frames = context.data_sources.add_pandas("lake").add_dataframe_asset("frame")
            self._made = frames.add_batch_definition_whole_dataframe("whole")
        return self._made

    def _pages(self) -> list[str]:
        """Every page there is, relative to the folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("*/*/*.html"))


def _translate(suite: ExpectationSuite) -> Any:  # noqa: ANN401 - see `DataDocs._run`
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    return gx.ExpectationSuite(
        name=suite.name,
        expectations=[
            ExpectationConfiguration(type=each.kind, kwargs=dict(each.arguments), meta={_MEANING: each.meaning})
            for each in suite.expectations
        ],
    )


def _unexpected(result: Any, key: str) -> list[tuple[str | None, str]]:  # noqa: ANN401 - see `DataDocs._run`
    """Key and values of each row that fails an expectation; what was observed if it is about the whole frame."""
    found = result.result
    rows = found.get("unexpected_index_list")
    if not rows:
        observed = found.get("observed_value", result.exception_info)
        return [(None, str(observed))]
    return [(str(row[key]), ", ".join(f"{name} {value}" for name, value in row.items() if name != key)) for row in rows]


def _sections(result: Any) -> str:  # noqa: ANN401 - see `DataDocs._run`
    """The sections of Great Expectations' page, without the first, which says what ours says above them."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    view = _section_view()
    sections = ValidationResultsPageRenderer().render(result).sections[1:]
    return "\n".join(
        str(view.render({"section": section.to_json_dict(), "section_loop": {"index": index}}))
        for index, section in enumerate(sections, start=1)
    )


@cache
def _section_view() -> Any:  # noqa: ANN401 - see `DataDocs._run`
    """Kept, because a new one would compile every template again, which takes longer than all else on a page."""
    from great_expectations.render.view.view import DefaultJinjaSectionView

    return DefaultJinjaSectionView()


def _replace(path: Path, html: str) -> None:
    """A reader sees the old page or the new one; what it says is in the lake too, so it need not survive a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
