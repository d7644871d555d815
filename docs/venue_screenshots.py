"""Make the pictures of docs/simulated_venues.md: the pages of both venues, with clients, an order and faults.

Run `python docs/venue_screenshots.py`; it needs Chromium (`make browser`).
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import aiohttp
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from helios_pipeline.cli.live_side import RAW_INTERVAL_MS, hear, trade  # noqa: E402
from helios_pipeline.cli.simulated import simulated_market  # noqa: E402
from helios_pipeline.settings import load_settings  # noqa: E402
from simulated_venues.binance.settings import BinanceSettings  # noqa: E402
from simulated_venues.dydx.settings import DydxSettings  # noqa: E402
from simulated_venues.faults import Fault  # noqa: E402
from simulated_venues.process import venue_processes  # noqa: E402
from simulated_venues.process_settings import ProcessSettings  # noqa: E402
from simulated_venues.remote import RemoteVenue  # noqa: E402
from tests.browser import open_browser  # noqa: E402

FOLDER = ROOT / "docs" / "screenshots"
SIZE = {"width": 1280, "height": 900}
LARGEST_BYTES = 300_000
FAULTS = {
    "binance": Fault(kind="delay_messages", where="btcusdt@*", value=250.0, seconds=600.0),
    "dydx": Fault(kind="indexer_lag", value=5.0, seconds=600.0),
}


async def use(binance: dict[str, str], dydx: dict[str, str]) -> None:
    """Listen at one venue and trade at the other, so that their pages have something to show."""
    async with aiohttp.ClientSession() as session:
        await hear(session, binance, "BTCUSDT")
        for ticker in ("BTC-USD", "ETH-USD"):
            await trade(session, dydx, ticker)


def take(page: Page, url: str, name: str) -> None:
    """Store the picture of a page."""
    page.set_viewport_size(SIZE)
    page.goto(url)
    page.locator("article").first.wait_for(timeout=60_000)
    page.locator("#faults tr").first.wait_for()
    path = FOLDER / f"venue_{name}.png"
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size < LARGEST_BYTES, path
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} KB", flush=True)


def main() -> None:
    """Make both."""
    settings = load_settings(ROOT / "helios.toml", {})
    only = settings.research.instruments
    market = simulated_market(settings, RAW_INTERVAL_MS, [*only, "SOLUSDT-PERP.BINANCE"]).settings
    with tempfile.TemporaryDirectory(prefix="helios-venues-") as folder:
        venues = (BinanceSettings(), DydxSettings(state_folder=Path(folder)))
        described = [ProcessSettings(venue=venue, market=market) for venue in venues]
        with venue_processes(*described) as processes:
            asyncio.run(use(*(process.addresses for process in processes)))
            with open_browser() as page:
                for process in processes:
                    RemoteVenue(process.url).start(FAULTS[process.name])
                    take(page, process.url, process.name)


if __name__ == "__main__":
    main()
