import numpy as np
import pytest

from helios_pipeline.core.errors import DataError
from helios_pipeline.features.settlements import last_before, refuse_missing_settlements

HOUR = 3_600_000_000


def test_a_bar_that_closes_at_the_settlement_does_not_know_it():
    assert last_before(np.array([100, 200]), np.array([100, 101, 200, 201])).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    ("hours", "intervals"), [([0, 8, 12, 16], [8, 8, 4, 4]), ([0, 4, 8, 16], [4, 4, 4, 8]), ([0, 8, 16], [8, 8, 4])]
)
def test_a_change_of_interval_is_not_a_missing_settlement(hours, intervals):
    settled_at = np.array(hours) * HOUR

    assert refuse_missing_settlements(settled_at, np.array(intervals), instrument_id="X", hour=HOUR) is None


def test_a_gap_longer_than_the_interval_names_the_hour():
    settled_at = np.array([0, 1, 3]) * HOUR

    with pytest.raises(DataError, match="X: expected a settlement at 1970-01-01 02:00"):
        refuse_missing_settlements(settled_at, np.array([1, 1, 1]), instrument_id="X", hour=HOUR)
