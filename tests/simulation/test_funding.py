from decimal import ROUND_HALF_UP, Context, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.simulation.funding import LARGEST_RATE, payment_quanta

EXACT = Context(prec=60)


@settings(deadline=None)
@given(
    st.integers(-(2**62), 2**62),
    st.sampled_from([1, 2, 10, 100, 1000, 10**5, 10**8]),
    st.integers(-LARGEST_RATE, LARGEST_RATE),
)
def test_a_payment_is_exact_and_rounds_half_a_quantum_away_from_zero(position_marks, denominator, rate):
    product = EXACT.multiply(Decimal(-position_marks), Decimal(rate))
    exact = EXACT.divide(product, Decimal(denominator * 10**10))

    assert payment_quanta(position_marks, denominator, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP, EXACT))


def test_a_long_pays_a_positive_rate_and_a_short_receives_it():
    # One coin (1,000 lots of 0.001) at 50,000 and 0.01 %: 5 of the quote currency.
    marks = 1000 * 50_000 * 10**8

    assert payment_quanta(marks, 1000, 1_000_000) == -5 * 10**8
    assert payment_quanta(-marks, 1000, 1_000_000) == 5 * 10**8
    assert payment_quanta(marks, 1000, -1_000_000) == 5 * 10**8
    assert payment_quanta(marks, 1000, 0) == 0
