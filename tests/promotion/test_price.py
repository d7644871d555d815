import pytest

from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.promotion.price import SearchPrice, count_at_most, price_search
from helios_pipeline.sweep.search import Search
from helios_pipeline.walk_forward.folds import FoldLengths


def priced(days: int = 457, trials: int = 1440, more: int = 20_736) -> SearchPrice:
    price = price_search(days=days, trials=trials, more=more, threshold=0.95)
    assert price is not None
    return price


def test_luck_now_and_then_is_that_of_the_ledger_now_and_then() -> None:
    price = priced()

    assert price.luck == (pytest.approx(luck_sharpe(1440, 457)), pytest.approx(luck_sharpe(22_176, 457)))


@pytest.mark.parametrize(("days", "trials", "required"), [(365, 1000, 4.9), (547, 1000, 4.0), (1095, 1000, 2.8)])
def test_the_required_sharpe_is_that_of_common_searches(days: int, trials: int, required: float) -> None:
    assert priced(days, 0, trials).required[1] == pytest.approx(required, abs=0.06)
    assert priced(days, trials, 0).required[0] == pytest.approx(required, abs=0.06)


def test_every_trial_more_costs_more() -> None:
    small, large = priced(more=100), priced(more=10_000)

    assert small.luck[0] < small.luck[1] < large.luck[1]
    assert small.required[0] is not None
    assert small.required[1] is not None
    assert large.required[1] is not None
    assert small.required[0] < small.required[1] < large.required[1]


def test_sets_that_the_ledger_knows_cost_nothing() -> None:
    price = priced(more=0)

    assert price.luck[0] == price.luck[1]
    assert price.required[0] == price.required[1]


def test_the_price_is_said_in_a_sentence() -> None:
    assert priced().sentence() == (
        "This round takes the ledger of these 457 days from 1,440 to up to 22,176 trials: noise will then score 3.62 "
        "(3.00 now), and a Sharpe of 5.12 (4.50 now) will be required."
    )
    assert priced(trials=0, more=1440).sentence() == (
        "This round makes up to 1,440 trials on 457 days: noise will score 3.00, and a Sharpe of 4.50 will be required."
    )


def test_a_window_on_which_no_set_can_have_a_sharpe_has_no_price() -> None:
    assert price_search(days=59, trials=0, more=10, threshold=0.95) is None


@pytest.mark.parametrize(("sampler", "more"), [("sobol", 500), ("optuna", 500 * (1 + 3))])
def test_a_search_that_learns_costs_as_many_sets_again_in_every_fold(sampler: str, more: int) -> None:
    search = Search(sampler=sampler, sets=500, seed=1)  # type: ignore[arg-type]
    lengths = FoldLengths(scheme="rolling", in_sample_days=60, purge_bars=97, embargo_bars=0, out_of_sample_days=20)

    assert count_at_most(search, 500, days=60 + 2 + 3 * 20 + 19, lengths=lengths) == more
