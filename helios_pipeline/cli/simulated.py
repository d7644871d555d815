"""The simulated market of `helios demo` and `helios simulate`, out of the settings."""

from collections.abc import Sequence
from datetime import UTC, datetime

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.settings import Settings
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import MarketSettings, SimulatedInstrument

PRICED_AT = datetime(2023, 1, 1, tzinfo=UTC)
RAW_INTERVAL_MS = 60_000


def simulated_market(
    settings: Settings, raw_interval_ms: int = RAW_INTERVAL_MS, only: Sequence[str] | None = None
) -> SimulatedMarket:
    """The market that `[simulated_market]` describes.

    Args:
        settings: those in force.
        raw_interval_ms: length of its raw bars; a minute at natural speed.
        only: ids of the instruments that trade; all of the section without.

    Raises:
        SettingsError: a simulated instrument has no [[instruments]] table, which states its tick and lot, or one of
            `only` is not in the section.
    """
    section = settings.simulated_market
    listed = {instrument.id: instrument for instrument in settings.instruments}
    if unknown := sorted({instrument.id for instrument in section.instruments} - set(listed)):
        raise SettingsError(
            f"simulated_market.instruments: expected ids that have an [[instruments]] table, found {unknown}."
        )
    known = [instrument.id for instrument in section.instruments]
    if strangers := [name for name in only or () if name not in known]:
        raise SettingsError(
            f"simulated instruments: expected some of {', '.join(known)}, found {', '.join(strangers)}. Add it to "
            "[[simulated_market.instruments]]."
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
        if only is None or instrument.id in only
    )
    return SimulatedMarket(
        MarketSettings(
            seed=section.seed,
            instruments=instruments,
            priced_at=PRICED_AT,
            raw_interval_ms=raw_interval_ms,
            factor_share=section.factor_share,
            edge=section.edge,
            edge_half_life=section.edge_half_life,
            regimes=section.regimes,
        )
    )
