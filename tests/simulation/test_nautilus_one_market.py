"""Kernel and NautilusTrader agree with tolerance zero on two real months of one market."""

import pytest

from tests.simulation.real_months import ALWAYS, PARTS, THREE, UNIT_OF_PANDAS, cases_of

pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")


@pytest.mark.parametrize("chosen", PARTS)
def test_kernel_and_nautilus_trader_agree_on_two_real_months_of_one_market(chosen):
    occurred = cases_of(THREE[:1], chosen, gaps=False)

    assert [name for name in ALWAYS if occurred[name] == 0] == []
