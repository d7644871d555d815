"""Identity of a trial: what makes two evaluations the same one, so that each is counted once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.ledger import LedgerEntry
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.strategy.parameters import STRATEGY_VERSION
from helios_pipeline.sweep.grid import parameters_of
from helios_pipeline.sweep.rounds import RoundResult


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
        """Plain values with one spelling: instruments sorted, decimals without trailing zeros, other numbers float."""
        ordered = sorted(self.instruments, key=lambda instrument: instrument.instrument_id)
        return {
            "strategy_version": self.strategy_version,
            "instruments": [_spell(instrument) for instrument in ordered],
            "costs": _spell(self.costs),
            "limits": _spell(self.limits),
            "features": _spell(self.feature_settings),
        }


def trial_context(inputs: SimulationInputs) -> TrialContext:
    """The context of every set evaluated on these inputs."""
    return TrialContext(
        strategy_version=STRATEGY_VERSION,
        instruments=inputs.instruments,
        costs=inputs.costs,
        limits=inputs.limits,
        feature_settings=inputs.feature_settings,
    )


def ledger_key(context: TrialContext, canonical_parameters: str) -> str:
    """SHA-256 over context and parameters, 64 hexadecimal digits; the window is not in it.

    Args:
        context: what the round's trials share.
        canonical_parameters: `ParameterSet.canonical`.
    """
    return _key(_text(context), canonical_parameters)


def ledger_entries(result: RoundResult, context: TrialContext, *, market_data: str) -> list[LedgerEntry]:
    """Every set of a round as a ledger row, in the grid's order.

    Walk-forward evaluates the same sets on parts of the round's window: the same keys on bars that the round's
    entries already cover, so it adds none of its own.

    Args:
        result: the round.
        context: what its trials share.
        market_data: which bars: `binance`, or a simulated market with its seed.
    """
    text, costs = _text(context), _spell(context.costs)
    ids = sorted(instrument.instrument_id for instrument in context.instruments)
    entries = []
    for row, block in zip(result.metrics.iter_rows(named=True), result.blocks, strict=True):
        canonical = parameters_of(row).canonical
        entries.append(
            LedgerEntry(
                key=_key(text, canonical),
                market_data=market_data,
                strategy_version=context.strategy_version,
                instruments=ids,
                costs=costs,
                vol_target=context.limits.vol_target,
                parameters=json.loads(canonical),
                window=result.window,
                round=result.name,
                round_trips=int(row["round_trips"]),
                blocks=block,
            )
        )
    return entries


def blocks_in_force(
    recorded: Mapping[str, NDArray[np.float64]], result: RoundResult, context: TrialContext, *, min_round_trips: int
) -> NDArray[np.float64]:
    """Blocks of the ledger's sets on a round's window, the round's own as it measured them.

    The ledger keeps a trial as it was first evaluated. Where market data was published anew since, a round's own sets
    are judged on what is known now.

    Args:
        recorded: key → float64[16, 3] of the ledger's sets on this window that traded often enough.
        result: the round.
        context: what its trials share.
        min_round_trips: of a set that counts.

    Returns:
        float64[sets, 16, 3], by ascending key.
    """
    text, blocks = _text(context), dict(recorded)
    for row, block in zip(result.metrics.iter_rows(named=True), result.blocks, strict=True):
        key = _key(text, parameters_of(row).canonical)
        blocks.pop(key, None)
        if row["round_trips"] >= min_round_trips:
            blocks[key] = block
    return np.array([blocks[key] for key in sorted(blocks)]).reshape(len(blocks), *result.blocks.shape[1:])


def _key(context_text: str, canonical_parameters: str) -> str:
    return hashlib.sha256(f"{context_text}\n{canonical_parameters}".encode()).hexdigest()


def _text(context: TrialContext) -> str:
    return json.dumps(context.canonical(), sort_keys=True, separators=(",", ":"))


def _spell(record: Instrument | Costs | AllocationLimits | FeatureSettings) -> dict[str, str | float]:
    return {name: _spell_value(value) for name, value in asdict(record).items()}


def _spell_value(value: Decimal | float | str) -> str | float:
    # 0.50 and 0.5 are one fee, 3 and 3.0 one leverage.
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value if isinstance(value, str) else float(value)
