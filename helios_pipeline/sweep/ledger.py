"""Identity of a trial: what makes two evaluations the same one, so that each is counted once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.ledger import Trials
from helios_pipeline.core.records import AllocationLimits, Costs, FeatureSettings, Instrument, Window
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.kernel import Evaluation
from helios_pipeline.simulation.summary import METRICS
from helios_pipeline.sweep.points import records_from
from helios_pipeline.sweep.rounds import RoundResult
from helios_pipeline.sweep.spelling import canonical_texts

_ROUND_TRIPS = METRICS.index("round_trips")


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


def ledger_key(context: TrialContext, canonical_parameters: str) -> str:
    """SHA-256 over context and parameters, 64 hexadecimal digits; the window is not in it.

    Args:
        context: what the round's trials share.
        canonical_parameters: `ParameterSet.canonical`.
    """
    (key,) = _keys(context, [canonical_parameters])
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlace:
    """What a round's ledger rows share beside their context.

    Attributes:
        round: its name.
        window: bars evaluated.
        market_data: which bars: `binance`, or a simulated market with its seed.
    """

    round: str
    window: Window
    market_data: str


def make_trials(records: Records, evaluation: Evaluation, context: TrialContext, place: TrialPlace) -> Trials:
    """Evaluated sets as ledger rows, in their order.

    Walk-forward of a search that does not learn evaluates the same sets on parts of the round's window: the same keys
    on bars that the round's own rows cover already, so it adds none of its own. Each fold of one that learns tries
    others, which are entered with the fold's in-sample window.

    Args:
        records: `PARAMETERS` of the sets.
        evaluation: theirs, row by row.
        context: what the trials share.
        place: where they are entered.
    """
    texts = canonical_texts(records)
    return Trials(
        keys=_keys(context, texts),
        parameters=texts,
        round_trips=evaluation.rows[:, _ROUND_TRIPS].astype(np.int64),
        blocks=evaluation.blocks,
        market_data=place.market_data,
        strategy_version=context.strategy_version,
        instruments=sorted(instrument.instrument_id for instrument in context.instruments),
        costs=_spell(context.costs),
        vol_target=context.limits.vol_target,
        window=place.window,
        round=place.round,
    )


def measured_trials(
    metrics: pl.DataFrame, blocks: NDArray[np.float64], context: TrialContext, place: TrialPlace
) -> Trials:
    """`make_trials` of sets whose parameters and metrics stand in one frame, as in a sweep or a stored round.

    Args:
        metrics: one row per set: parameters and `METRICS`, perhaps more.
        blocks: float64[sets, 16, 3], row by row.
        context: what the trials share.
        place: where they are entered.
    """
    rows = metrics.select(METRICS).cast(pl.Float64).to_numpy()
    return make_trials(records_from(metrics.to_dict()), Evaluation(rows=rows, blocks=blocks), context, place)


def blocks_in_force(
    recorded_keys: Sequence[str],
    recorded_blocks: NDArray[np.float64],
    result: RoundResult,
    context: TrialContext,
    *,
    min_round_trips: int,
) -> NDArray[np.float64]:
    """Blocks of the ledger's sets on a round's window, the round's own as it measured them.

    The ledger keeps a trial as it was first evaluated. Where market data was published anew since, a round's own sets
    are judged on what is known now.

    Args:
        recorded_keys: of the ledger's sets on this window that traded often enough.
        recorded_blocks: float64[sets, 16, 3], theirs.
        result: the round.
        context: what its trials share.
        min_round_trips: of a set that counts.

    Returns:
        float64[sets, 16, 3], by ascending key.
    """
    own = np.array(_keys(context, canonical_texts(records_from(result.metrics.to_dict()))), dtype="S64")
    others = np.array(recorded_keys, dtype="S64")
    kept, counts = ~np.isin(others, own), result.metrics["round_trips"].to_numpy() >= min_round_trips
    _, by_key = np.unique(np.concatenate([others[kept], own[counts]]), return_index=True)
    return np.concatenate([recorded_blocks[kept], result.blocks[counts]])[by_key]


def _keys(context: TrialContext, canonical_parameters: Sequence[str]) -> list[str]:
    """The ledger key of each set; what they share is hashed once."""
    shared = hashlib.sha256(f"{_text(context)}\n".encode())
    keys = []
    for text in canonical_parameters:
        digest = shared.copy()
        digest.update(text.encode())
        keys.append(digest.hexdigest())
    return keys


def _text(context: TrialContext) -> str:
    return json.dumps(context.canonical(), sort_keys=True, separators=(",", ":"))


def _spell(record: Instrument | Costs | AllocationLimits | FeatureSettings) -> dict[str, str | float]:
    return {name: _spell_value(value) for name, value in asdict(record).items()}


def _spell_value(value: Decimal | float | str) -> str | float:
    # 0.50 and 0.5 are one fee, 3 and 3.0 one leverage.
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value if isinstance(value, str) else float(value)
