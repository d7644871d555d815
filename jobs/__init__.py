"""Dagster jobs: which assets are made together, when, and what keeps house."""
