"""A paper account, killed as by `kill -9` while it trades: what it has is what journal and venue's prices say.

Afterwards a backtest over the recorded period decides the same, decision for decision, on the features that the market
gives, and every fee and funding payment is what fills and the venue's settlements give.
"""

import signal
from collections.abc import Iterator

import pytest

from helios_pipeline.core.manifest import SignedManifest
from helios_pipeline.core.trading import Decision, Reconciliation, VenueFill
from live_engine.kill_points import VARIABLE, Point
from tests.live_engine.agreement import Told, await_agreement
from tests.live_engine.harness import (
    EAGER,
    FEATURES,
    FastWorld,
    Installation,
    await_that,
    fast_market,
    fast_world,
    installation,
)
from tests.live_engine.recomputed import decision_differences, feature_differences

TWO_BARS_AND_A_START = 120.0
FILLS_SECONDS = 180.0
KILLS: tuple[Point, ...] = ("intent_durable", "order_accepted", "filled_not_journalled", "filled_not_told")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastWorld]:
    with fast_world(tmp_path_factory.mktemp("dydx")) as made:
        yield made


@pytest.fixture(scope="module")
def home(world: FastWorld, memory_folder: str | None) -> Iterator[Installation]:
    with installation(world, network="paper", parent=memory_folder) as made:
        yield made


@pytest.fixture(scope="module")
def champion(home: Installation) -> SignedManifest:
    return home.promote(EAGER)


@pytest.fixture(scope="module")
def told(home: Installation, champion: SignedManifest) -> Told:
    """The journal of an account that lived through every kill, and then traded on."""
    for point in KILLS:
        killed = home.engine(**{VARIABLE: point})
        assert killed.await_end(TWO_BARS_AND_A_START) == -signal.SIGKILL, killed.tail()
    engine = home.engine()
    engine.await_trading()
    engine.await_record(VenueFill, lambda _: True, "a fill after the kills", after=len(home.journal()))
    # A kill before a fill was journalled left none on paper: the engine goes on until there are as many as kills.
    await_that(
        lambda: len([each for each in home.journal() if isinstance(each, VenueFill)]) >= len(KILLS),
        "as many fills as kills",
        FILLS_SECONDS,
        engine.tail,
    )
    engine.await_record(Reconciliation, lambda found: found.agreed, "all to agree", after=len(home.journal()))
    assert await_agreement(home) == [], engine.tail()
    engine.stop()
    return Told(records=tuple(home.journal()))


def test_the_account_agrees_after_kills(told: Told) -> None:
    assert len(told.of(VenueFill)) >= len(KILLS)


def test_a_backtest_over_the_recorded_period_decides_the_same(
    told: Told, world: FastWorld, champion: SignedManifest
) -> None:
    assert decision_differences(told.records, world, champion) == []


def test_every_decision_had_the_features_that_the_market_gives(told: Told) -> None:
    decisions = told.of(Decision)

    assert feature_differences(decisions, fast_market(), FEATURES, EAGER.lookback_bars) == []
    assert any(decision.lots for decision in decisions)
