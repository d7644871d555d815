"""Identity of a trial: what makes two evaluations the same one, so that each is counted once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.sweep.grid import parameters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialContext:
    """What all trials of a round share and a change of which makes them other trials.

    Attributes:
        strategy_version: of `decide`, `allocate` and the features.
        instruments: in any order.
        costs: what trading costs.
        limits: the vol target among them.
        feature_settings: what features are made from.
    """

    strategy_version: str
    instruments: tuple[Instrument, ...]
    costs: Costs
    limits: AllocationLimits
    feature_settings: FeatureSettings

    def canonical(self) -> dict[str, Any]:
        """Plain values with one spelling: instruments sorted, decimals without trailing zeros."""
        ordered = sorted(self.instruments, key=lambda instrument: instrument.instrument_id)
        return {
            "strategy_version": self.strategy_version,
            "instruments": [_plain(asdict(instrument)) for instrument in ordered],
            "costs": _plain(asdict(self.costs)),
            "limits": _plain(asdict(self.limits)),
            "features": _plain(asdict(self.feature_settings)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One evaluated set, as the ledger keeps it.

    Attributes:
        key: SHA-256 of the context and the parameters, 64 hexadecimal digits.
        market_data: which market was traded: real or simulated, never mixed in a count.
        strategy_version: of the context.
        instruments: instrument ids, sorted.
        costs: canonical values.
        vol_target: of the limits.
        parameters: the set as plain values.
        window_first: first evaluated instant, UTC.
        window_last: end of the evaluated window, exclusive, UTC.
        round_name: the round that evaluated it.
        round_trips: closed round trips.
        blocks: 16 × 3 float64, little-endian, row by row: days, Σr, Σr² of each block of days.
    """

    key: str
    market_data: str
    strategy_version: str
    instruments: list[str]
    costs: dict[str, str]
    vol_target: float
    parameters: dict[str, int | float]
    window_first: datetime
    window_last: datetime
    round_name: str
    round_trips: int
    blocks: bytes


def ledger_key(context: TrialContext, canonical_parameters: str) -> str:
    """SHA-256 over context and parameters; the window is not in it.

    Args:
        context: what the round's trials share.
        canonical_parameters: `ParameterSet.canonical`.
    """
    return _key(_text(context.canonical()), canonical_parameters)


def ledger_entries(
    metrics: pl.DataFrame,
    blocks: NDArray[np.float64],
    *,
    context: TrialContext,
    market_data: str,
    window: Window,
    round_name: str,
) -> list[LedgerEntry]:
    """Every set of a round as a ledger row, in the sets' order.

    Folds evaluate the same sets on parts of the round's window: the same keys, so they add no entry of their own.

    Args:
        metrics: n rows with the parameters and `round_trips`.
        blocks: (n, 16, 3) as `Sweep.blocks`.
        context: what the trials share.
        market_data: which market was traded.
        window: what was evaluated.
        round_name: the round.
    """
    shared = context.canonical()
    text, packed = _text(shared), np.ascontiguousarray(blocks, dtype="<f8")
    instruments = [instrument["instrument_id"] for instrument in shared["instruments"]]
    entries = []
    for row, block in zip(metrics.iter_rows(named=True), packed, strict=True):
        canonical = parameters_of(row).canonical
        entries.append(
            LedgerEntry(
                key=_key(text, canonical),
                market_data=market_data,
                strategy_version=context.strategy_version,
                instruments=instruments,
                costs=shared["costs"],
                vol_target=context.limits.vol_target,
                parameters=json.loads(canonical),
                window_first=window.first,
                window_last=window.last,
                round_name=round_name,
                round_trips=int(row["round_trips"]),
                blocks=block.tobytes(),
            )
        )
    return entries


def _key(context_text: str, canonical_parameters: str) -> str:
    return hashlib.sha256(f"{context_text}\n{canonical_parameters}".encode()).hexdigest()


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _spell(value) for name, value in values.items()}


def _spell(value: object) -> object:
    # 0.50 and 0.5 are one fee; 1 and 1.0 are one leverage.
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return float(value) if isinstance(value, int | float) else value
