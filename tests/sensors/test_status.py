import dagster as dg
import pytest

from helios_pipeline.core.errors import SettingsError
from jobs.automation import default_schedule_status
from sensors.status import default_sensor_status, sensor_seconds


def test_nothing_runs_by_itself_unless_the_environment_says_so(monkeypatch):
    monkeypatch.delenv("HELIOS_AUTOMATION", raising=False)

    assert default_sensor_status() is dg.DefaultSensorStatus.STOPPED
    assert default_schedule_status() is dg.DefaultScheduleStatus.STOPPED


def test_where_dagster_is_served_for_good_sensors_and_schedules_run(monkeypatch):
    monkeypatch.setenv("HELIOS_AUTOMATION", "running")

    assert default_sensor_status() is dg.DefaultSensorStatus.RUNNING
    assert default_schedule_status() is dg.DefaultScheduleStatus.RUNNING


def test_ticks_are_half_a_minute_apart_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("HELIOS_SENSOR_SECONDS", raising=False)
    assert sensor_seconds() == 30

    monkeypatch.setenv("HELIOS_SENSOR_SECONDS", "1")
    assert sensor_seconds() == 1


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "soon"])
def test_an_interval_that_is_no_number_of_seconds_is_refused(monkeypatch, given):
    monkeypatch.setenv("HELIOS_SENSOR_SECONDS", given)

    with pytest.raises(SettingsError, match="HELIOS_SENSOR_SECONDS: expected seconds"):
        sensor_seconds()
