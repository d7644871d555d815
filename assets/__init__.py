"""Dagster assets, thin: load, compute, replace."""
