"""Dagster jobs: selections of assets."""
