from helios_pipeline.reports.figures import draw_choices, to_svg

AXES = {"lookback_bars": [12, 24, 48], "entry_z": [1.0, 1.5], "cooldown_bars": [0]}


def drawn(choices):
    return to_svg(draw_choices(AXES, choices))


def test_every_choice_is_written_below_its_fold_and_beside_its_parameter():
    svg = drawn([{"lookback_bars": 12, "entry_z": 1.5, "cooldown_bars": 0}, None])

    assert [word for word in ("fold 1", "fold 2", "lookback_bars", "entry_z", ">12<", ">1.5<") if word not in svg] == []


def test_a_parameter_with_one_value_has_no_row():
    assert "cooldown_bars" not in drawn([{"lookback_bars": 12, "entry_z": 1.5, "cooldown_bars": 0}])


def test_the_lowest_and_the_highest_value_have_the_two_ends_of_the_colours():
    svg = drawn([{"lookback_bars": at, "entry_z": 1.0, "cooldown_bars": 0} for at in (12, 48)])

    assert "#b23646" in svg
    assert "#1e62a6" in svg


def test_without_folds_the_figure_says_so():
    assert "no rows" in drawn([])
