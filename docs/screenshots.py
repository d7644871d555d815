"""Make the pictures of docs/: research on real or simulated history, one damaged month, and Dagster as people see it.

Run `make screenshots`. Real history is used where HELIOS_REAL_DATA names a folder with it.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import open_browser  # noqa: E402
from tests.damaged_months import crossed_ohlc, damage  # noqa: E402
from tests.helios_home import BTC, ETH, HeliosHome, new_home, write_simulated_archive  # noqa: E402
from tests.served_dagster import MARKET_DATA, ServedDagster, served  # noqa: E402

NOBODY = "http://127.0.0.1:9"
"""Where no venue answers: nothing is asked of the real one."""

FOLDER = ROOT / "docs" / "screenshots"
MONTHS = [f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)][:18]
DAMAGED = MONTHS[-1]
ASSETS = (
    *MARKET_DATA,
    *("sweep_results", "walk_forward_report", "backtest_report", "promoted_parameters"),
    *("round_report", "data_quality_report", "champion_report"),
)
WITHOUT_PICTURE = ("promoted_parameters", "champion_report")
"""A refusal has none, and neither has a network on which nothing is traded."""

TO_ITS_ROW = """picture => {
  picture.scrollIntoView({ block: 'center' });
  for (let each = picture; each; each = each.parentElement) each.scrollLeft = 0;
}"""
"""A picture may be wider than its table: show the beginning of its row."""

LARGEST_BYTES = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture.

    Attributes:
        name: of the file.
        path: on the web interface.
        awaits: text that is there when the page is.
        picture: whether a picture of the asset must be there.
        size: of the window; an asset's page is longer than a screen.
    """

    name: str
    path: str
    awaits: str
    picture: bool = False
    size: tuple[int, int] = (1400, 900)


def shots(round_name: str, run_id: str) -> Iterator[Shot]:
    """Every picture of docs/dagster.md."""
    yield Shot(name="lineage", path="/asset-groups", awaits="market_data")
    for asset in ASSETS:
        drawn = asset not in WITHOUT_PICTURE
        yield Shot(name=asset, path=f"/assets/{asset}?view=overview", awaits="Owners", picture=drawn, size=(1800, 1400))
    yield Shot(name="checks", path="/assets/bars_15m?view=checks&checkDetail=sound_prices", awaits="sound_prices")
    yield Shot(name="partitions", path="/assets/bars_15m?view=partitions", awaits="2025-06-01")
    yield Shot(name="run", path=f"/runs/{run_id}?logs=step%3Abars_15m", awaits="1 left out")
    yield Shot(name="automation", path="/automation", awaits="daily_refresh")
    yield Shot(name="report_round", path=f"/reports/round/{round_name}/latest.html", awaits="Gates")


def take(page: Page, url: str, shot: Shot) -> None:
    """Show a page, wait until it is whole, and store its picture."""
    page.set_viewport_size({"width": shot.size[0], "height": shot.size[1]})
    page.goto(url + shot.path, wait_until="domcontentloaded")
    page.get_by_text(shot.awaits).first.wait_for(timeout=60_000)
    if shot.picture:
        drawn = page.locator('img[src^="/reports/pictures"]').first
        drawn.wait_for(timeout=60_000)
        drawn.evaluate(TO_ITS_ROW)
    page.wait_for_timeout(1500)  # lines and colours come a moment after the text
    assert str(ROOT) not in page.inner_text("body"), f"{shot.name}: expected no path of this machine"
    path = FOLDER / f"{shot.name}.png"
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size / 1000:.0f} KB", flush=True)
    assert size < LARGEST_BYTES, f"{path}: expected fewer than {LARGEST_BYTES:,} bytes, found {size:,}"


@contextmanager
def researched() -> Iterator[HeliosHome]:
    """A home after research with the shipped settings on eighteen months, with its own copy of the archive."""
    with new_home(None) as home:
        shutil.copyfile(ROOT / "helios.toml", home.folder / "helios.toml")
        home.archive = home.folder / "archive"
        home.variables = {"HELIOS_HOME": str(home.home), "HELIOS_REST_URL": NOBODY}
        real = os.environ.get("HELIOS_REAL_DATA")
        if real:
            shutil.copytree(Path(real) / "binance_vision", home.archive)
        else:
            write_simulated_archive(home.archive, edge=0.6, months=(MONTHS[0], MONTHS[-1]), instruments=[BTC, ETH])
        outcome = home.run("research")
        assert outcome.code == 0, outcome.err
        yield home


def refuse_a_month(dagster: ServedDagster) -> str:
    """Publish a damaged month and make it again; returns the run that says so."""
    assert dagster.home.archive is not None
    damage(dagster.home.archive, BTC, DAMAGED, crossed_ohlc)
    key = f"{BTC}|{DAMAGED}-01"
    run_id = dagster.refresh(key, key, helios__refresh="true")
    run = dagster.await_run(run_id)
    assert run["status"] == "FAILURE", run
    return run_id


def main() -> None:
    """Make all of them."""
    FOLDER.mkdir(exist_ok=True)
    with researched() as home, served(home) as dagster, open_browser() as page:
        dagster.await_run(dagster.launch("data_quality", {}))
        run_id = refuse_a_month(dagster)
        (round_name,) = dagster.partition_keys("sweep_results")
        for shot in shots(round_name, run_id):
            take(page, dagster.url, shot)


if __name__ == "__main__":
    main()
