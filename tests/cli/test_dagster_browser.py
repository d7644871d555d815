"""The web interface as people see it, in a real browser."""

import polars as pl
import pytest

from helios_pipeline.core.monthly_checks import MONTHLY_CHECKS
from tests.browser import MISSING, find_browser, open_browser
from tests.damaged_months import crossed_ohlc, damage
from tests.helios_home import SOL
from tests.served_dagster import MARKET_DATA, month_keys

OCTOBER, NOVEMBER = month_keys([SOL], ["2024-10", "2024-11"])
SHOWN_WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def refused(dagster, with_sol, served_archive):
    """A run over two months of SOL, in the second of which one bar's high is its low."""
    if find_browser() is None:
        pytest.skip(MISSING)
    repair = damage(served_archive, SOL, "2024-11", crossed_ohlc)
    yield dagster.await_run(dagster.refresh(OCTOBER, NOVEMBER))
    repair()


@pytest.fixture(scope="module")
def browser(refused):
    with open_browser() as page:
        page.set_default_timeout(SHOWN_WITHIN_MS)
        yield page


@pytest.fixture
def expect_shown(browser, dagster):
    """Opens a path of the interface and returns the page, on which every text is there."""

    def open_path(path, *texts):
        browser.goto(dagster.url + path, wait_until="domcontentloaded")
        for text in texts:
            browser.get_by_text(text, exact=True).first.wait_for()
        return browser

    return open_path


def test_the_lineage_shows_every_group(expect_shown):
    expect_shown("/asset-groups", "market_data", "bars", "features", "research", "reports")


def test_a_group_shows_its_assets(expect_shown):
    expect_shown("/locations/__repository__@helios/asset-groups/market_data/lineage", *MARKET_DATA[:3])


def test_an_asset_shows_what_it_is_and_its_newest_month_in_a_picture(expect_shown, dagster):
    (stored,) = (dagster.home.home / "lake").glob(f"*/bars_15m/{SOL}/2024-10.parquet")
    rows = f"{pl.read_parquet(stored).height:,}"

    page = expect_shown("/assets/bars_15m?view=overview", "research", "Polars", "Parquet", "Row count", rows)
    page.get_by_text("Validated 15-minute bars").first.wait_for()
    picture = page.locator('img[src^="/reports/pictures/bars_15m/"]').first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('img[src^=\"/reports/pictures/bars_15m/\"]').naturalWidth > 300")

    assert picture.get_attribute("alt") == f"bars_15m of {SOL} in 2024-10"


def test_the_checks_show_their_verdicts_and_the_rows_of_a_refused_month(expect_shown):
    names = [spec.name for spec in MONTHLY_CHECKS["bars_15m"]]
    page = expect_shown("/assets/bars_15m?view=checks&checkDetail=sound_prices", *names, "Failed")
    row = page.get_by_role("row").filter(has_text="crossed_ohlc").first
    row.wait_for()

    assert {SOL, "2024-11", "raw_klines 15m"} <= set(row.get_by_role("cell").all_inner_texts())


def test_the_partitions_show_which_months_are_there_and_which_failed(expect_shown):
    expect_shown("/assets/bars_15m?view=partitions", "2024-10-01", "2024-11-01")


def test_a_run_shows_its_steps_and_what_stopped_it(expect_shown, refused):
    page = expect_shown(f"/runs/{refused['runId']}", "Failure", "raw_klines", "bars_15m", "Errored (1)")
    told = page.get_by_text("1 made, 0 unchanged, 1 left out").first
    # The page draws the steps first and fills in the log when its events have come.
    told.wait_for()

    assert told.is_visible()


def test_a_link_to_a_report_opens_it_on_the_same_address(expect_shown, dagster):
    page = expect_shown("/assets/bars_15m?view=overview", "expectations")
    link = page.locator('a[href^="/reports/data_docs/"]').first
    link.scroll_into_view_if_needed()
    with page.context.expect_page() as opened:
        link.click()
    report = opened.value
    report.get_by_text(SOL).first.wait_for()

    assert report.url.startswith(f"{dagster.url}/reports/data_docs/")
    assert report.request.get(report.url).status == 200
    assert report.title()
    report.close()


def test_automation_shows_the_schedules_and_sensors_that_run(expect_shown):
    expect_shown("/automation", "daily_refresh", "weekly_upkeep", "settings", "failed_checks", "failed_runs")
