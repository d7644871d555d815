"""A real process that journals, killed with SIGKILL again and again, and what its log says of it afterwards."""

import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from live_engine.segments import read_records
from tests.helios_home import ROOT

WRITER = Path(__file__).with_name("journal_writer.py")
THREADS = 3
MOST_LINES = 400


@dataclass(kw_only=True)
class Told:
    """What writers said before they were killed.

    Attributes:
        acknowledged: sequence number → the fill's id.
        again: sequence numbers that were given twice, for different fills.
        ids: client order ids that were given.
        epochs: of the writers.
    """

    acknowledged: dict[int, str] = field(default_factory=dict)
    again: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    def hear(self, line: str) -> None:
        word, *rest = line.split()
        if word == "open":
            self.epochs.append(int(rest[0]))
        elif word == "id":
            self.ids.append(int(rest[0]))
        elif word.isdigit() and self.acknowledged.setdefault(int(word), rest[0]) != rest[0]:
            self.again.append(int(word))
        elif word in ("doubled", "refused"):
            raise AssertionError(line)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is on disk against what was said.

    Attributes:
        told: by the writers.
        lost: acknowledged, and not there.
        doubled: fills that are there more than once, or in another's place.
        unsaid: records that nobody was told of: the writer died between writing and telling.
    """

    told: Told
    lost: int
    doubled: int
    unsaid: int


def kill_writers(folder: Path, kills: int, seed: int) -> Verdict:
    """Start writers of one log one after the other, and kill each at a random moment."""
    moments, told = random.Random(seed), Told()
    for _ in range(kills):
        _run_and_kill(folder, moments.randint(1, MOST_LINES), told)
    records = dict(read_records(folder))
    written = [record.venue_fill_id for record in records.values()]
    lost = [
        number
        for number, fill in told.acknowledged.items()
        if number not in records or records[number].venue_fill_id != fill
    ]
    return Verdict(
        told=told,
        lost=len(lost),
        doubled=len(written) - len(set(written)) + len(told.again),
        unsaid=len(records) - len(told.acknowledged),
    )


def _run_and_kill(folder: Path, lines: int, told: Told) -> None:
    """Run a writer until it has said so many lines; what it said until it was dead counts."""
    with subprocess.Popen(
        [sys.executable, WRITER, folder, str(THREADS)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    for line in said:
        if line.endswith("\n"):
            told.hear(line)
