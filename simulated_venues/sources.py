"""Opens what a venue's prices come from, out of plain settings."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from helios_pipeline.core.errors import SettingsError
from simulated_venues.market import SimulatedMarket
from simulated_venues.replay.bars import open_bar_replay
from simulated_venues.replay.files import MINUTE_MS, RecordedInstrument
from simulated_venues.replay.raw import open_raw_replay
from simulated_venues.settings import MarketSettings
from simulated_venues.source import MarketSource


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRecordingSettings:
    """A replay of recorded bars.

    Attributes:
        archive: folder laid out as Binance's public archive, the one that holds `data/futures/um`.
        instruments: what to replay.
        interval: of the files: `1m` or `15m`.
        first_day: first recorded day to play, UTC.
        last_day: the day after the last.
        starts_at: when the first recorded minute is played, a multiple of a funding interval
            (`replay.bars.aligned_start`); None for when it was recorded.
        raw_interval_ms: how long a recorded minute takes: 60,000, or 1,000 in a world 60 times as fast.
    """

    archive: Path
    instruments: tuple[RecordedInstrument, ...]
    interval: str
    first_day: date
    last_day: date
    starts_at: datetime | None = None
    raw_interval_ms: int = MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecordingSettings:
    """A replay of recorded WebSocket messages, at natural speed.

    Attributes:
        recording: the gzipped file of `local_ns {json}` lines.
        instrument: what was recorded.
        starts_at: when it begins to be played, or up to a minute after; None for when it was recorded.
    """

    recording: Path
    instrument: RecordedInstrument
    starts_at: datetime | None = None


SourceSettings = MarketSettings | BarRecordingSettings | RawRecordingSettings


def open_source(settings: SourceSettings) -> MarketSource:
    """The source that the settings describe, read and checked.

    Raises:
        SettingsError: the archive or the recording is not there, or can't be played as asked.
        DataError: it is there and damaged, or does not hold what is asked for.
    """
    if isinstance(settings, MarketSettings):
        return SimulatedMarket(settings)
    if isinstance(settings, RawRecordingSettings):
        if not settings.recording.is_file():
            raise SettingsError(
                f"raw replay: expected a gzipped recording, found no file at {settings.recording}. Correct its path."
            )
        return open_raw_replay(settings.recording, settings.instrument, starts_at=settings.starts_at)
    if not (settings.archive / "data" / "futures" / "um").is_dir():
        raise SettingsError(
            f"bar replay: expected a folder that holds data/futures/um, found none at {settings.archive}. "
            "Correct the archive's path."
        )
    return open_bar_replay(
        settings.archive,
        settings.instruments,
        interval=settings.interval,
        days=(settings.first_day, settings.last_day),
        starts_at=settings.starts_at,
        raw_interval_ms=settings.raw_interval_ms,
    )
