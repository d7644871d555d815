"""A program that beats like an engine: it writes heartbeats, and says in them what it is told on standard input."""

import os
import select
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from helios_pipeline.core.trading import STRICTNESS
from live_engine.heartbeat import remove_heartbeat, write_heartbeat
from tests.live_engine.statuses import status, stream

EVERY_SECONDS = 0.05

CHANGES = {
    "sound": {},
    "trader_stopped": {"trader_running": False},
    "stale": {"streams": (stream(age_seconds=900.0),)},
    **{mode: {"mode": mode, "mode_who": "anna", "mode_why": "a drill"} for mode in STRICTNESS},
    "paged": {"counters": {"pages": 1}},
    "refused": {"champion_note": "signature of https://user:hunter2@example.com does not match"},
}


def main(path: Path, epoch: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: (remove_heartbeat(path), os._exit(0)))
    changes, started = {}, datetime(2026, 1, 1, tzinfo=UTC)
    while True:
        now = datetime.now(UTC)
        said = {"pid": os.getpid(), "epoch": epoch, "started_at": started, "told_at": now, "reconciled_at": now}
        write_heartbeat(path, status(**(said | changes)))
        ready, _, _ = select.select([0], [], [], EVERY_SECONDS)
        word = os.read(0, 1_000).decode().split() if ready else []
        if ready and not word:
            signal.pause()  # nobody speaks to us any more: silent, but alive
        if word:
            changes = CHANGES[word[-1]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
