"""Jobs: which assets are made together."""

import dagster as dg

daily_refresh = dg.define_asset_job(
    "daily_refresh",
    selection=["raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features"],
    description="Market data, bars and features of some months.",
)

optimization_round = dg.define_asset_job(
    "optimization_round",
    selection=["sweep_results", "walk_forward_report", "backtest_report"],
    description="One round: every parameter set, walk-forward, and the finalists in NautilusTrader.",
)

promotion = dg.define_asset_job(
    "promotion",
    selection=["promoted_parameters"],
    description="A round's candidate through the gates: a signed champion or a refusal.",
)
