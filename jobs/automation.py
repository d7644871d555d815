"""Whether schedules and sensors run by themselves: only where Dagster is served for good, never in tests."""

import os

import dagster as dg

AUTOMATION = "HELIOS_AUTOMATION"
RUNNING = "running"
"""Variable, and the value that lets them run from the start; a person's choice in the interface wins over it."""


def automation_runs() -> bool:
    """Whether this process was started to automate."""
    return os.environ.get(AUTOMATION) == RUNNING


def default_schedule_status() -> dg.DefaultScheduleStatus:
    """What a schedule does until somebody chooses in the interface."""
    return dg.DefaultScheduleStatus.RUNNING if automation_runs() else dg.DefaultScheduleStatus.STOPPED
