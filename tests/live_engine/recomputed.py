"""What a live engine should have known and decided at each bar, made again afterwards.

The simulated market is a function of time, so its bars and settlements are asked for without the venue, its streams or
its REST interface, and their features are made as those of a month of research are. Decisions are made again twice: on
what was recorded with each, and on the account that the fills before it give.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import numpy as np
import polars as pl

from helios_pipeline.core.canonical import from_document, parse_canonical
from helios_pipeline.core.manifest import Manifest, SignedManifest
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.core.trading import Decision, JournalRecord
from helios_pipeline.execution.champion_terms import make_terms
from helios_pipeline.execution.decision_backtest import backtest_decisions
from helios_pipeline.execution.replay import replay_decisions
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.features.frame import make_features
from helios_pipeline.features.windows import log_prices, segment_starts, z_scores
from helios_pipeline.strategy.terms import Terms
from simulated_venues.market import SimulatedMarket
from simulated_venues.settings import MarketSettings, SimulatedInstrument
from tests.live_engine.harness import BAR_SECONDS, FastWorld, dydx_id, instrument, signal_id

STAMP = pl.Datetime("us", "UTC")
RAW_BARS_PER_BAR, FUNDING_HOURS = 15, 8
COLUMNS = ("close", "z_price", "z_funding", "volatility", "atr")


def feature_differences(
    decisions: Sequence[Decision], market: MarketSettings, settings: FeatureSettings, lookback_bars: int
) -> list[str]:
    """Where decisions were made with other features than the market's bars give, to the last bit.

    Args:
        decisions: of one parameter set.
        market: that was traded.
        settings: of its manifest.
        lookback_bars: of its parameters.
    """
    found: list[str] = []
    for listed in market.instruments:
        made = [each for each in decisions if each.signal_instrument_id == listed.instrument_id]
        if not made:
            continue
        frame = market_features(market, listed, made, settings, lookback_bars)
        rows = {row["closed_at"]: row for row in frame.iter_rows(named=True)}
        for decision in made:
            expected = tuple(_number(rows[decision.closed_at][name]) for name in COLUMNS)
            known = (None if decision.close is None else float(decision.close), decision.z_price, decision.z_funding)
            known = (*known, decision.volatility, decision.atr)
            if known != expected:
                found.append(
                    f"features of {decision.instrument_id} at {decision.closed_at}: the market gives {expected}, "
                    f"the engine had {known}"
                )
    return found


def decision_differences(records: Sequence[JournalRecord], world: FastWorld, signed: SignedManifest) -> list[str]:
    """Where a backtest over the recorded period decides otherwise, or holds something else; one line each.

    Args:
        records: the whole journal of an account that one champion traded at dYdX's prices.
        world: where it traded.
        signed: the champion.
    """
    markets = traded_markets(world)
    manifest = from_document(Manifest, parse_canonical(signed.content, "manifest"), "manifest")
    terms = make_terms(manifest, signed.content_hash, markets)

    def terms_of(manifest_hash: str) -> Terms | None:
        return terms if manifest_hash == signed.content_hash else None

    decisions = [record for record in records if isinstance(record, Decision)]
    replays = {
        "replayed": replay_decisions(decisions, markets, terms_of),
        "backtest": backtest_decisions(records, markets, terms_of, timedelta(seconds=BAR_SECONDS)),
    }
    found = [f"{name}: {line}" for name, replay in replays.items() for line in replay.differences]
    counted = {name: (replay.decisions, replay.equal) for name, replay in replays.items()}
    if found or any(count != (len(decisions), len(decisions)) for count in counted.values()):
        found.append(f"of {len(decisions)} decisions, made again and equal: {counted}")
    return found


def traded_markets(world: FastWorld) -> tuple[TradedMarket, ...]:
    """The markets of an engine at dYdX, with the steps that its indexer tells."""
    answer = httpx.get(f"{world.dydx.url}/v4/perpetualMarkets", trust_env=False, timeout=30.0)
    listed = answer.raise_for_status().json()["markets"]
    return tuple(
        TradedMarket(
            instrument_id=dydx_id(base),
            signal_instrument_id=signal_id(base),
            signal_tick=instrument(base).tick,
            tick=Decimal(listed[f"{base}-USD"]["tickSize"]),
            lot=Decimal(listed[f"{base}-USD"]["stepSize"]),
            min_quantity=Decimal(listed[f"{base}-USD"]["stepSize"]),
            min_notional_quote=Decimal(0),
        )
        for base in world.bases
    )


def market_features(
    market: MarketSettings,
    traded: SimulatedInstrument,
    decisions: Iterable[Decision],
    settings: FeatureSettings,
    lookback_bars: int,
) -> pl.DataFrame:
    """Features of every bar that the decisions need, and of those before them that warm-up needs."""
    length = timedelta(milliseconds=market.raw_interval_ms * RAW_BARS_PER_BAR)
    funding_interval = length * 4 * FUNDING_HOURS
    opened = [decision.opened_at for decision in decisions]
    reach = max(lookback_bars, settings.vol_lookback + 1, settings.atr_bars + 1, 100)
    first = min(opened) - reach * length
    source = SimulatedMarket(market)
    bars = _bars(source, traded, first, max(opened) + length)
    funding = _funding(source, traded, first - (settings.funding_lookback + 2) * funding_interval, max(opened))
    nothing = pl.DataFrame(schema={"measured_at": STAMP, "open_interest": pl.Float64()})
    frame = make_features(bars, funding, nothing, settings, instrument_id=traded.instrument_id, interval=length)
    opened_us = bars["opened_at"].cast(pl.Int64).to_numpy()
    starts = segment_starts(opened_us, length // timedelta(microseconds=1), settings.max_gap_bars)
    scores = z_scores(log_prices(bars["close"].to_numpy()), starts, lookback_bars)
    return frame.with_columns(pl.Series("z_price", scores), bars["close"])


def _bars(source: SimulatedMarket, traded: SimulatedInstrument, first: datetime, last: datetime) -> pl.DataFrame:
    made = source.bars(traded.instrument_id, first, last, raw_bars=RAW_BARS_PER_BAR)
    prices = {
        name: [float(int(ticks) * traded.tick) for ticks in getattr(made, name)]
        for name in ("open", "high", "low", "close")
    }
    return pl.DataFrame({"opened_at": _stamps(made.opened_at_ms), **prices})


def _funding(source: SimulatedMarket, traded: SimulatedInstrument, first: datetime, last: datetime) -> pl.DataFrame:
    made = source.settlements(traded.instrument_id, first, last)
    return pl.DataFrame(
        {
            "settled_at": _stamps(made.settled_at_ms),
            "funding_rate": [float(Decimal(int(rate)).scaleb(-8)) for rate in made.rate_e8],
            "interval_hours": [FUNDING_HOURS] * len(made.rate_e8),
        },
        schema_overrides={"funding_rate": pl.Float64(), "interval_hours": pl.Int64()},
    )


def _stamps(milliseconds: np.ndarray) -> pl.Series:
    return pl.Series([datetime.fromtimestamp(int(at) / 1_000, UTC) for at in milliseconds], dtype=STAMP)


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
