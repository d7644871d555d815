"""Dagster sensors: what happened, turned into requests; they start jobs and decide nothing."""
