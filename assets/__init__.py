"""Dagster assets, thin: load, compute, replace."""

import warnings

from dagster import BetaWarning

# Single-run backfills are marked beta; what they do is pinned with the version and tested.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=BetaWarning)
