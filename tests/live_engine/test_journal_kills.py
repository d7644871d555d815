"""A real process that journals is killed at random moments: nothing acknowledged is lost, nothing is there twice."""

import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helios_pipeline.execution.books import Books
from live_engine.segments import list_segments, read_records
from tests.execution.made_records import ACCOUNT
from tests.helios_home import ROOT

WRITER = Path(__file__).with_name("journal_writer.py")
KILLS = 10


@pytest.fixture
def folder(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        yield Path(name) / "log"


def run_and_kill(folder, lines):
    """Run a writer until it has said so many lines, kill it, and return what it said."""
    with subprocess.Popen(
        [sys.executable, WRITER, folder, "3"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [line.split() for line in said if line.endswith("\n")]


def test_nothing_acknowledged_is_lost_and_nothing_is_doubled_by_kills_at_random_moments(folder):
    moments = random.Random(5)
    acknowledged, ids, epochs = {}, [], []

    for _ in range(KILLS):
        for word, *rest in run_and_kill(folder, moments.randint(1, 400)):
            if word == "open":
                epochs.append(int(rest[0]))
            elif word == "id":
                ids.append(int(rest[0]))
            elif word != "-":
                assert acknowledged.setdefault(int(word), rest[0]) == rest[0]

    records = dict(read_records(folder))
    written = [record.venue_fill_id for record in records.values()]
    books = Books(ACCOUNT)
    assert all(books.apply(record) for record in records.values())
    assert {number: records[number].venue_fill_id for number in acknowledged} == acknowledged
    assert len(written) == len(set(written))
    assert len(acknowledged) > KILLS
    assert epochs == list(range(1, KILLS + 1))
    assert len(ids) == len(set(ids))
    assert len(list_segments(folder)) > 1
    # Entries that nobody was told of: at most one a thread and kill.
    assert len(records) <= len(acknowledged) + 3 * KILLS
