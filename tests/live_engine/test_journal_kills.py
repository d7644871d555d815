"""A real process that journals is killed at random moments: nothing acknowledged is lost, nothing is there twice."""

import tempfile
from pathlib import Path

from helios_pipeline.execution.books import Books
from live_engine.segments import list_segments, read_records
from tests.execution.made_records import ACCOUNT
from tests.live_engine.killed_writer import THREADS, kill_writers

KILLS = 10


def test_nothing_acknowledged_is_lost_and_nothing_is_doubled_by_kills_at_random_moments(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        folder = Path(name) / "log"

        verdict = kill_writers(folder, KILLS, seed=5)

        books = Books(ACCOUNT)
        assert all(books.apply(record) for _, record in read_records(folder))
        assert len(list_segments(folder)) > 1
    told = verdict.told
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert len(told.acknowledged) > KILLS
    assert told.epochs == list(range(1, KILLS + 1))
    assert len(told.ids) == len(set(told.ids))
    assert verdict.unsaid <= THREADS * KILLS
