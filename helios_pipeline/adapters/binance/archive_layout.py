"""Where the public archive keeps what. Layout: https://github.com/binance/binance-public-data."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from helios_pipeline.core.calendar import days_of_month

type Kind = Literal["klines", "fundingRate", "metrics"]

_PERIODS: dict[str, frozenset[str]] = {
    "klines": frozenset({"monthly", "daily"}),
    "fundingRate": frozenset({"monthly"}),
    "metrics": frozenset({"daily"}),
}
"""What the source publishes of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRequest:
    """One month of one kind of data of one contract.

    Attributes:
        kind: folder of the archive.
        symbol: Binance's name of the contract, `BTCUSDT`.
        month: `YYYY-MM`.
        interval: Binance's name of the klines' interval; None for the other kinds.
    """

    kind: Kind
    symbol: str
    month: str
    interval: str | None = None

    @property
    def monthly(self) -> str | None:
        """Path of the month's zip below the archive's root; None if the source has no monthly files of this kind."""
        return self._path("monthly", self.month) if "monthly" in _PERIODS[self.kind] else None

    def daily(self, today: date) -> list[str]:
        """Paths of the days' zips, for days that are over at `today`; empty if the source has none of this kind."""
        if "daily" not in _PERIODS[self.kind]:
            return []
        return [self._path("daily", day.isoformat()) for day in days_of_month(self.month) if day < today]

    def _path(self, period: str, when: str) -> str:
        folder = f"data/futures/um/{period}/{self.kind}/{self.symbol}"
        if self.interval is not None:
            return f"{folder}/{self.interval}/{self.symbol}-{self.interval}-{when}.zip"
        return f"{folder}/{self.symbol}-{self.kind}-{when}.zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """A published zip.

    Attributes:
        path: below the archive's root.
        sha256: its published hash, hexadecimal.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The zip's own name."""
        return self.path.rpartition("/")[2]


def files_version(files: Iterable[ArchiveFile]) -> str:
    """Hash of a set of published files, hexadecimal: equal if and only if names and contents are."""
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
