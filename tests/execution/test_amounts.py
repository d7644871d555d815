from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given

from helios_pipeline.core.errors import JournalError
from helios_pipeline.execution.amounts import check_amounts
from tests.execution.any_records import any_record
from tests.execution.made_records import fill, transfer


@given(any_record)
def test_what_a_venue_may_send_passes(record):
    check_amounts(record)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1e100", "1e999999", "1e-101"])
def test_an_amount_of_an_absurd_size_is_refused(amount):
    with pytest.raises(JournalError, match=r"Transfer\.amount: expected a finite amount"):
        check_amounts(replace(transfer("t", 1), amount=Decimal(amount)))


@pytest.mark.parametrize(("side", "quantity"), [(0, "1"), (2, "1"), (1, "0"), (1, "-1")])
def test_a_fill_without_direction_or_quantity_is_refused(side, quantity):
    with pytest.raises(JournalError, match=r"expected side −1 or \+1 and a positive quantity"):
        check_amounts(fill(1, side, quantity, "1"))
