"""Jobs: which assets are made together."""

import dagster as dg

from assets.checks import CROSS_PARTITION_CHECKS

MARKET_DATA = ("raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features")

ACROSS_MONTHS = dg.AssetSelection.checks(*CROSS_PARTITION_CHECKS)
"""Checks that judge months together: they read everything that is stored, so they have a job of their own."""

daily_refresh = dg.define_asset_job(
    "daily_refresh",
    selection=dg.AssetSelection.assets(*MARKET_DATA) - ACROSS_MONTHS,
    description="Market data, bars and features of some months, each checked before it is stored.",
    tags={"stage": "market_data"},
)

data_quality = dg.define_asset_job(
    "data_quality",
    selection=ACROSS_MONTHS | dg.AssetSelection.assets("data_quality_report"),
    description="Everything stored, judged across months: gaps, a second source, look-ahead; and the report of it.",
    tags={"stage": "market_data"},
)

optimization_round = dg.define_asset_job(
    "optimization_round",
    selection=["sweep_results", "walk_forward_report", "backtest_report", "round_report"],
    description="One round: every parameter set, walk-forward, the finalists in NautilusTrader, and the report.",
    tags={"stage": "research"},
)

promotion = dg.define_asset_job(
    "promotion",
    selection=["promoted_parameters", "round_report", "champion_report"],
    description="A round's candidate through the gates: a signed champion or a refusal, and the reports of it.",
    tags={"stage": "promotion"},
)
