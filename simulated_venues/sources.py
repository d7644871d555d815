"""Opens what a venue's prices come from: the simulated market, or a recording."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import msgspec

from helios_pipeline.core.errors import SettingsError
from simulated_venues.market import SimulatedMarket
from simulated_venues.replay.files import RecordedInstrument
from simulated_venues.settings import MarketSettings
from simulated_venues.source import MarketSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """Recorded prices instead of simulated ones.

    Attributes:
        path: a folder that holds `data/futures/um`, or a gzipped raw recording.
        instruments: what is replayed; of a raw recording exactly one.
        starts_at: when the recording begins to be played; of a folder a multiple of a funding interval
            (`replay.bars.aligned_start`), of a raw recording this or up to a minute later.
        interval: of a folder's bars: `1m` or `15m`.
        days: of a folder: first day, and the day after the last, UTC; None for a raw recording.
    """

    path: Path
    instruments: tuple[RecordedInstrument, ...]
    starts_at: datetime
    interval: str = "1m"
    days: tuple[date, date] | None = None

    def name_at(self, raw_interval_ms: int) -> str:
        """Names the market that this is at a speed, without reading it."""
        text = msgspec.json.encode((self, raw_interval_ms), enc_hook=str)
        return f"replay-{hashlib.sha256(text).hexdigest()[:16]}"


def open_source(market: MarketSettings, replay: ReplaySettings | None) -> MarketSource:
    """The prices that settings describe.

    Args:
        market: the simulated market; of a replay only its speed counts.
        replay: recorded prices instead.

    Raises:
        SettingsError: the recording is not there, or can't be played as described.
        DataError: it is there and damaged, or does not hold what is asked for.
    """
    if replay is None:
        return SimulatedMarket(market)
    return _open_messages(replay) if replay.days is None else _open_bars(replay, replay.days, market.raw_interval_ms)


# What only a replay is made of takes a moment to load: venues over the simulated market need not wait for it.
def _open_messages(replay: ReplaySettings) -> MarketSource:
    from simulated_venues.replay.raw import open_raw_replay

    if len(replay.instruments) != 1:
        raise SettingsError(
            f"raw replay: expected one instrument, found {len(replay.instruments)}. A raw recording holds one."
        )
    if not replay.path.is_file():
        raise SettingsError(
            f"raw replay: expected a gzipped recording, found no file at {replay.path}. Correct its path."
        )
    return open_raw_replay(replay.path, replay.instruments[0], starts_at=replay.starts_at)


def _open_bars(replay: ReplaySettings, days: tuple[date, date], raw_interval_ms: int) -> MarketSource:
    from simulated_venues.replay.bars import open_bar_replay

    if not (replay.path / "data" / "futures" / "um").is_dir():
        raise SettingsError(
            f"bar replay: expected a folder that holds data/futures/um, found none at {replay.path}. "
            "Correct the archive's path."
        )
    return open_bar_replay(
        replay.path,
        replay.instruments,
        interval=replay.interval,
        days=days,
        starts_at=replay.starts_at,
        raw_interval_ms=raw_interval_ms,
    )
