"""A process that journals as fast as it can and says what was acknowledged, until it is killed.

    python journal_writer.py FOLDER THREADS [FILE_SIZE_LIMIT]

Each line: sequence number (`-` for a record that was known), the fill's id; or `refused` and why.
"""

import os
import resource
import sys
import threading
import time
from pathlib import Path

from helios_pipeline.core.errors import JournalError
from live_engine.journal import Journal
from tests.execution.made_records import ACCOUNT, START, fill


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def write(journal: Journal, name: str) -> None:
    number = 0
    try:
        while True:
            number += 1
            minute = (time.time() - START.timestamp()) / 60
            record = fill(f"{name}-{number}", 1 if number % 2 else -1, "0.01", "60000.5", fee="0.01", minute=minute)
            sequence = journal.append(record)
            say(f"{sequence} {record.venue_fill_id}")
            if number % 7 == 0:
                say(f"- {record.venue_fill_id}" if journal.append(record) is None else "doubled")
            if number % 50 == 0:
                say(f"id {journal.next_client_order_id()}")
    except JournalError as error:
        say(f"refused {error}")


def main() -> None:
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    journal = Journal.open(folder, ACCOUNT, segment_bytes=200_000 if len(sys.argv) == 3 else 2**30)
    say(f"open {journal.epoch} {journal.sequence}")
    writers = [threading.Thread(target=write, args=(journal, f"{journal.epoch}-{each}")) for each in range(threads)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


if __name__ == "__main__":
    main()
