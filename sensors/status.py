"""Whether sensors run by themselves, and how often."""

import os

import dagster as dg

from helios_pipeline.core.errors import SettingsError
from jobs.automation import automation_runs

INTERVAL_VARIABLE = "HELIOS_SENSOR_SECONDS"
INTERVAL_SECONDS = 30


def default_sensor_status() -> dg.DefaultSensorStatus:
    """What a sensor does until somebody chooses in the interface."""
    return dg.DefaultSensorStatus.RUNNING if automation_runs() else dg.DefaultSensorStatus.STOPPED


def sensor_seconds() -> int:
    """Least seconds between two ticks of a sensor.

    Raises:
        SettingsError: the variable holds no positive whole number.
    """
    given = os.environ.get(INTERVAL_VARIABLE) or str(INTERVAL_SECONDS)
    if not given.isdecimal() or int(given) == 0:
        raise SettingsError(f"{INTERVAL_VARIABLE}: expected seconds as a whole number from 1 on, found {given!r}.")
    return int(given)
