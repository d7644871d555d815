"""Jobs: which assets are made together."""

import dagster as dg

MARKET_DATA = ("raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features")

ACROSS_MONTHS = dg.AssetSelection.checks()

daily_refresh = dg.define_asset_job(
    "daily_refresh",
    selection=dg.AssetSelection.assets(*MARKET_DATA) - ACROSS_MONTHS,
    description="Market data, bars and features of some months, each checked before it is stored.",
    tags={"stage": "market_data"},
)

optimization_round = dg.define_asset_job(
    "optimization_round",
    selection=["sweep_results", "walk_forward_report", "backtest_report"],
    description="One round: every parameter set, walk-forward, the finalists in NautilusTrader, and the report.",
    tags={"stage": "research"},
)

promotion = dg.define_asset_job(
    "promotion",
    selection=["promoted_parameters"],
    description="A round's candidate through the gates: a signed champion or a refusal, and the reports of it.",
    tags={"stage": "promotion"},
)
