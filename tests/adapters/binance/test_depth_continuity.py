from helios_pipeline.adapters.binance.depth_continuity import DepthContinuity


def test_changes_of_before_the_snapshot_are_dropped_and_the_one_around_it_joins():
    continuity = DepthContinuity()
    continuity.begin(100)

    steps = [continuity.take(*ids) for ids in [(81, 90, 80), (91, 105, 90), (106, 110, 105), (106, 110, 105)]]

    assert steps == ["drop", "apply", "apply", "drop"]


def test_a_change_that_follows_the_snapshot_at_once_joins():
    continuity = DepthContinuity()
    continuity.begin(100)

    assert continuity.take(101, 110, 100) == "apply"


def test_a_lost_change_breaks_the_book_until_the_next_snapshot():
    continuity = DepthContinuity()
    before_any = continuity.take(1, 2, 0)
    continuity.begin(100)
    continuity.take(101, 110, 100)

    steps = [continuity.take(121, 130, 120), continuity.take(131, 140, 130)]
    continuity.begin(150)

    assert [before_any, *steps] == ["break"] * 3
    assert continuity.take(141, 160, 140) == "apply"


def test_a_snapshot_that_is_older_than_the_first_change_does_not_join():
    continuity = DepthContinuity()
    continuity.begin(100)

    assert continuity.take(121, 130, 120) == "break"
