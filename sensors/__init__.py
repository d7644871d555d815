"""Dagster sensors: what happened, turned into requests; they start jobs and decide nothing."""

import warnings

from dagster import BetaWarning

# Dagster copies sensors, and warns that it uses a beta parameter of its own when it does.
warnings.filterwarnings(
    "ignore", message="Parameter `owners` of initializer `(Sensor|Schedule)Definition", category=BetaWarning
)
