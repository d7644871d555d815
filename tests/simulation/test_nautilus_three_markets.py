"""Kernel and NautilusTrader agree with tolerance zero on two real months of three markets with missing bars."""

import pytest

from tests.simulation.real_months import ALWAYS, PARTS, THREE, UNIT_OF_PANDAS, WITH_OTHERS_AND_GAPS, cases_of

pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")


@pytest.mark.parametrize("chosen", PARTS)
def test_kernel_and_nautilus_trader_agree_on_two_real_months_of_three_markets(chosen):
    occurred = cases_of(THREE, chosen, gaps=True)

    assert [name for name in ALWAYS + WITH_OTHERS_AND_GAPS if occurred[name] == 0] == []
