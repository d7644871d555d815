from datetime import UTC, datetime

import numpy as np
import pytest

from simulated_venues.path import SPAN_DAYS, day_path

DAY = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) // 86_400


@pytest.mark.parametrize("day", [DAY, DAY + 400, DAY - 1, DAY + SPAN_DAYS - 1, DAY + 40 * SPAN_DAYS - 1])
def test_a_day_ends_at_the_very_price_at_which_the_next_begins(make_settings, day):
    settings = make_settings(edge=0.4)
    today, tomorrow = (day_path(settings, settings.instruments[0], d) for d in (day, day + 1))

    assert today.log_price[-1] == tomorrow.log_price[0]
    assert today.reversion[-1] == tomorrow.reversion[0]


def test_the_price_is_at_its_start_at_every_end_of_a_span(make_settings):
    settings = make_settings(edge=0.0)
    for span in (-1, 0, 1, 50):
        path = day_path(settings, settings.instruments[0], DAY + span * SPAN_DAYS)

        assert path.log_price[0] == np.log(40_000.0)


def test_the_reverting_component_loses_half_of_itself_in_a_half_life(make_settings):
    settings = make_settings(edge=0.4)
    days = [day_path(settings, settings.instruments[0], DAY + k).reversion[:-1] for k in range(1_500)]
    series = np.concatenate(days)[::720]

    assert series.std() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(series[1:], series[:-1])[0, 1] == pytest.approx(0.5, abs=0.05)


def test_the_reverting_component_moves_within_a_day_as_it_does_across_days(make_settings):
    settings = make_settings(edge=0.4)
    days = np.stack([day_path(settings, settings.instruments[0], DAY + k).reversion for k in range(1_500)])
    decay = 0.5 ** (60 / 720)
    residual = days[:, 60::60] - decay * days[:, :-60:60]

    # Conditioning on the day's ends must leave neither the spread nor the independence of the steps changed anywhere.
    assert residual.std(axis=0) == pytest.approx(np.full(24, np.sqrt(1 - decay**2)), rel=0.08)
    assert np.abs(np.corrcoef(residual.T) - np.eye(24)).max() < 0.12
