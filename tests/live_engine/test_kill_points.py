"""Real processes that kill themselves at a named point, and those that don't."""

import os
import signal
import subprocess
import sys

import pytest

from helios_pipeline.core.errors import SettingsError
from live_engine.kill_points import POINTS, VARIABLE, at_records, reached, read_point

DEADLINE_SECONDS = 60.0

PASSES = """
from live_engine.kill_points import reached
for time in range(1, 6):
    print(time, flush=True)
    reached("order_accepted")
"""

RECORDS = """
from datetime import UTC, datetime
from helios_pipeline.core.trading import OrderEvent
from live_engine.kill_points import at_records

class Printed:
    def append(self, record):
        print(record.state, flush=True)
        return 1

now = datetime(2026, 1, 1, tzinfo=UTC)
sink = at_records(Printed())
for state in ("submitted", "accepted", "partially_filled", "filled"):
    sink.append(OrderEvent(
        account="a", client_order_id="1", state=state, venue_order_id=None, reason="", occurred_at=now
    ))
"""


def run(program: str, armed: str) -> tuple[int, list[str]]:
    environment = {**os.environ, VARIABLE: armed}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=DEADLINE_SECONDS
    )
    return done.returncode, done.stdout.split()


def test_an_unarmed_process_passes_every_point() -> None:
    assert run(PASSES, "") == (0, ["1", "2", "3", "4", "5"])


def test_another_point_kills_nothing() -> None:
    assert run(PASSES, "decision_made") == (0, ["1", "2", "3", "4", "5"])


def test_the_armed_point_kills_at_once_and_by_signal_9() -> None:
    assert run(PASSES, "order_accepted") == (-signal.SIGKILL, ["1"])


def test_the_armed_point_kills_at_the_time_it_is_asked_to() -> None:
    assert run(PASSES, "order_accepted:3") == (-signal.SIGKILL, ["1", "2", "3"])


def test_a_record_is_durable_when_the_point_after_it_kills() -> None:
    assert run(RECORDS, "order_accepted") == (-signal.SIGKILL, ["submitted", "accepted"])


def test_an_unarmed_sink_is_the_sink_itself() -> None:
    class Sink:
        def append(self, record: object) -> int | None:
            return None

    sink = Sink()

    assert at_records(sink) is sink
    reached("order_accepted")


def test_every_point_can_be_read() -> None:
    assert [read_point(f"{point}:2") for point in POINTS] == [(point, 2) for point in POINTS]


@pytest.mark.parametrize("text", ["order_lost", "order_accepted:0", "order_accepted:x", "order_accepted:-1", ":2"])
def test_a_point_that_does_not_exist_is_an_error_that_names_those_that_do(text: str) -> None:
    with pytest.raises(SettingsError, match=r"expected <point> .* filled_not_told, found"):
        read_point(text)
