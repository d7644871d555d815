import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.walk_forward.folds import FoldLengths, count_folds, lay_folds

plans = st.fixed_dictionaries(
    {
        "scheme": st.sampled_from(["rolling", "anchored"]),
        "start": st.integers(0, 500),
        "bars": st.integers(0, 6000),
        "bars_per_day": st.sampled_from([1, 4, 24]),
        "in_sample_days": st.integers(60, 80),
        "purge_bars": st.integers(0, 60),
        "embargo_bars": st.integers(0, 60),
        "out_of_sample_days": st.integers(1, 40),
    }
)


def lay(plan):
    return lay_folds(
        start=plan["start"],
        stop=plan["start"] + plan["bars"],
        bars_per_day=plan["bars_per_day"],
        lengths=FoldLengths(**{name: plan[name] for name in FoldLengths.__dataclass_fields__}),
        max_holding_bars=plan["purge_bars"],
    )


def folds_or_none(plan):
    try:
        return lay(plan)
    except SettingsError:
        return []


@given(plans)
def test_folds_never_judge_the_same_bar_twice_and_leave_no_hole(plan):
    folds = folds_or_none(plan)

    judged = [slot for fold in folds for slot in range(fold.out_of_sample_start, fold.out_of_sample_stop)]
    assert judged == list(range(judged[0], judged[-1] + 1)) if judged else True


@given(plans)
def test_choosing_ends_at_least_purge_and_embargo_before_judging_starts(plan):
    for fold in folds_or_none(plan):
        assert fold.in_sample_start < fold.in_sample_stop <= fold.out_of_sample_start < fold.out_of_sample_stop
        assert fold.out_of_sample_start - fold.in_sample_stop >= plan["purge_bars"] + plan["embargo_bars"]


@given(plans)
def test_folds_stay_inside_the_window_and_another_would_not_fit(plan):
    folds = folds_or_none(plan)

    stop, step = plan["start"] + plan["bars"], plan["out_of_sample_days"] * plan["bars_per_day"]
    assert all(fold.in_sample_start >= plan["start"] and fold.out_of_sample_stop <= stop for fold in folds)
    if folds:
        assert folds[0].in_sample_start == plan["start"]
        assert folds[-1].out_of_sample_stop + step > stop


@given(plans)
def test_every_part_holds_whole_days_from_the_start_of_a_day(plan):
    for fold in folds_or_none(plan):
        for slot in (fold.in_sample_start, fold.in_sample_stop, fold.out_of_sample_start, fold.out_of_sample_stop):
            assert (slot - plan["start"]) % plan["bars_per_day"] == 0
        grown = (fold.number - 1) * plan["out_of_sample_days"] if plan["scheme"] == "anchored" else 0
        days = plan["in_sample_days"] + grown
        assert fold.in_sample_stop - fold.in_sample_start == days * plan["bars_per_day"]


@given(plans)
def test_anchored_folds_judge_the_days_that_rolling_ones_judge_and_all_begin_at_the_first_bar(plan):
    anchored, rolling = (folds_or_none(plan | {"scheme": scheme}) for scheme in ("anchored", "rolling"))

    assert [fold.out_of_sample_start for fold in anchored] == [fold.out_of_sample_start for fold in rolling]
    assert [fold.in_sample_stop for fold in anchored] == [fold.in_sample_stop for fold in rolling]
    assert {fold.in_sample_start for fold in anchored} <= {plan["start"]}


def test_three_folds_laid_by_hand():
    folds = lay_folds(
        start=96,
        stop=96 + 96 * 125,
        bars_per_day=96,
        lengths=FoldLengths(
            scheme="rolling", in_sample_days=60, purge_bars=100, embargo_bars=80, out_of_sample_days=20
        ),
        max_holding_bars=100,
    )

    # 100 bars of purge and 80 of embargo take two days.
    days = [
        ((f.in_sample_start - 96) / 96, (f.in_sample_stop - 96) / 96, (f.out_of_sample_start - 96) / 96) for f in folds
    ]
    assert days == [(0, 60, 62), (20, 80, 82), (40, 100, 102)]
    assert folds[-1].out_of_sample_stop == 96 + 96 * 122
    assert [fold.number for fold in folds] == [1, 2, 3]


def test_too_little_history_says_what_is_needed_and_what_was_found():
    lengths = FoldLengths(scheme="rolling", in_sample_days=60, purge_bars=5, embargo_bars=0, out_of_sample_days=10)

    with pytest.raises(SettingsError) as refused:
        lay_folds(start=0, stop=74, bars_per_day=1, lengths=lengths, max_holding_bars=5)

    assert str(refused.value) == (
        "bars in fold: expected at least 75, found 74 (in_sample=60, purge and embargo=5, out_of_sample=10). "
        "Shorten the windows or load more history."
    )


def test_a_purge_shorter_than_the_longest_holding_time_is_refused():
    lengths = FoldLengths(scheme="rolling", in_sample_days=60, purge_bars=5, embargo_bars=0, out_of_sample_days=10)

    with pytest.raises(SettingsError, match=r"longest max_holding_bars \(6\), found purge_bars=5"):
        lay_folds(start=0, stop=1000, bars_per_day=1, lengths=lengths, max_holding_bars=6)


def test_too_few_days_to_choose_by_are_refused():
    with pytest.raises(SettingsError, match="in_sample_days ≥ 60"):
        FoldLengths(scheme="rolling", in_sample_days=59, purge_bars=0, embargo_bars=0, out_of_sample_days=10)


@given(plans)
def test_folds_are_counted_as_they_are_laid(plan):
    lengths = FoldLengths(**{name: plan[name] for name in FoldLengths.__dataclass_fields__})

    counted = count_folds(plan["bars"] // plan["bars_per_day"], lengths, bars_per_day=plan["bars_per_day"])

    assert counted == len(folds_or_none(plan))
