"""The simulated market of `helios demo`, out of the settings."""

from datetime import UTC, datetime
from pathlib import Path

from rich.progress import Progress

from helios_pipeline.cli.terminal import out
from helios_pipeline.core.errors import SettingsError
from helios_pipeline.settings import Settings
from simulated_venues.archive import write_archive
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import MarketSettings, SimulatedInstrument

PRICED_AT = datetime(2023, 1, 1, tzinfo=UTC)
RAW_INTERVAL_MS = 60_000


def simulated_market(settings: Settings) -> SimulatedMarket:
    """The market that `[simulated_market]` describes.

    Raises:
        SettingsError: a simulated instrument has no [[instruments]] table, which states its tick and lot.
    """
    section = settings.simulated_market
    listed = {instrument.id: instrument for instrument in settings.instruments}
    if unknown := sorted({instrument.id for instrument in section.instruments} - set(listed)):
        raise SettingsError(
            f"simulated_market.instruments: expected ids that have an [[instruments]] table, found {unknown}."
        )
    instruments = tuple(
        SimulatedInstrument(
            instrument_id=instrument.id,
            start_price=instrument.start_price,
            tick=listed[instrument.id].tick,
            lot=listed[instrument.id].lot,
            daily_volatility=instrument.daily_volatility,
            daily_volume=instrument.daily_volume,
            trades_per_day=instrument.trades_per_day,
        )
        for instrument in section.instruments
    )
    return SimulatedMarket(
        MarketSettings(
            seed=section.seed,
            instruments=instruments,
            priced_at=PRICED_AT,
            raw_interval_ms=RAW_INTERVAL_MS,
            factor_share=section.factor_share,
            edge=section.edge,
            edge_half_life=section.edge_half_life,
        )
    )


def write_simulated_archive(market: SimulatedMarket, settings: Settings, archive: Path, progress: Progress) -> None:
    """Write the market's archive in the real archive's layout; what is there already is kept."""
    section = settings.simulated_market
    task = progress.add_task("simulated archive", total=None)
    count = write_archive(
        archive,
        market,
        settings.research.instruments,
        (section.first_month, section.last_month),
        metrics_days=section.metrics_days,
        progress=lambda done, total: progress.update(task, completed=done, total=total),
    )
    progress.remove_task(task)
    out.print(f"Archive at {archive}: {count.written} files written, {count.skipped} there already.", highlight=False)
