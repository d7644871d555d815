"""The engine, killed as by `kill -9` at each named moment while it trades at the simulated dYdX, and started again.

After each, the account is the same in the journal and at the venue to the last quantum: no order twice, no fill lost or
doubled. The drills share one account, so what one leaves behind the next has to live with.
"""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from helios_pipeline.core.trading import Reconciliation
from live_engine.kill_points import POINTS, VARIABLE, Point
from tests.live_engine.agreement import await_agreement
from tests.live_engine.harness import EAGER, FastWorld, Installation, fast_world, installation

TWO_BARS_AND_A_START = 120.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastWorld]:
    with fast_world(tmp_path_factory.mktemp("dydx")) as made:
        yield made


@pytest.fixture(scope="module")
def home(world: FastWorld, memory_folder: str | None) -> Iterator[Installation]:
    with installation(world, network="mainnet", parent=memory_folder) as made:
        made.promote(EAGER)
        yield made


def provoked(world: FastWorld, point: Point) -> AbstractContextManager[None]:
    """What the venue has to do, so that the point is reached."""
    if point == "partially_filled":
        return world.fault("dydx", "partial_fills", value=0.4)
    return nullcontext()


@pytest.mark.parametrize("point", POINTS)
def test_an_engine_killed_here_loses_and_doubles_nothing(home: Installation, world: FastWorld, point: Point) -> None:
    with provoked(world, point):
        killed = home.engine(**{VARIABLE: point})
        assert killed.await_end(TWO_BARS_AND_A_START) == -signal.SIGKILL, killed.tail()
    last = len(home.journal())

    engine = home.engine()
    engine.await_record(Reconciliation, lambda found: found.agreed, "journal, node and venue to agree", after=last)

    assert await_agreement(home) == [], engine.tail()
    engine.kill()
