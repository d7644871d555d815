import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from helios_pipeline.core.errors import JournalError, ManifestError
from live_engine.segments import list_segments, read_entries
from live_engine.write_ahead_log import WriteAheadLog
from tests.small_disk import small_disk


@pytest.fixture
def folder(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        yield Path(name) / "log"


def sequences(folder):
    return [each.sequence for each in read_entries(folder)]


def test_a_log_opened_again_goes_on_with_the_next_number(folder):
    for begin in (1, 3, 5):
        wal = WriteAheadLog.open(folder)
        assert wal.written == begin - 1
        for number in (begin, begin + 1):
            assert wal.write(1, "test", number) == number
        wal.sync(begin + 1)
        assert wal.durable == begin + 1
        wal.close()

    assert sequences(folder) == [1, 2, 3, 4, 5, 6]


def test_files_and_folder_are_for_their_owner_alone(folder):
    wal = WriteAheadLog.open(folder)

    (segment,) = list_segments(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert segment.path.stat().st_mode & 0o777 == 0o600
    wal.close()


def test_a_second_writer_is_refused_until_the_first_is_gone(folder):
    wal = WriteAheadLog.open(folder)

    with pytest.raises(JournalError, match="expected to be the only writer, found another"):
        WriteAheadLog.open(folder)

    wal.close()
    wal.close()
    WriteAheadLog.open(folder).close()


def test_nothing_is_written_once_closed(folder):
    wal = WriteAheadLog.open(folder)
    wal.close()

    with pytest.raises(JournalError, match="the log is closed"):
        wal.write(1, "test", 1)


def test_a_document_without_a_spelling_leaves_the_log_as_it_was(folder):
    wal = WriteAheadLog.open(folder)

    with pytest.raises(ManifestError):
        wal.write(1, "test", "\ud800")

    assert wal.write(1, "test", 1) == 1
    wal.close()


def test_threads_that_append_at_once_share_syncs_and_lose_nothing(folder, monkeypatch):
    syncs = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (syncs.append(file), fdatasync(file)))
    wal, writing, durable = WriteAheadLog.open(folder, segment_bytes=5000), threading.Lock(), []

    def append():
        for _ in range(50):
            with writing:
                number = wal.write(1, "test", "text")
            wal.sync(number)
            assert wal.durable >= number
            durable.append(number)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wal.close()

    assert sorted(durable) == sequences(folder) == list(range(1, 201))
    assert len(syncs) <= 200 + len(list_segments(folder))
    assert len(list_segments(folder)) > 2


def test_a_new_file_is_begun_only_when_all_before_it_is_on_disk(folder):
    wal = WriteAheadLog.open(folder, segment_bytes=1)
    wal.write(1, "test", 1)
    assert wal.durable == 0

    wal.write(1, "test", 2)

    assert wal.durable == 1
    assert [segment.first for segment in list_segments(folder)] == [1, 2]
    wal.close()


def test_a_file_begun_by_a_writer_that_died_then_is_gone_on_with(folder):
    wal = WriteAheadLog.open(folder)
    wal.write(1, "test", 1)
    wal.close()
    (folder / f"{2:016d}.log").touch()

    wal = WriteAheadLog.open(folder)

    assert wal.write(1, "test", 2) == 2
    wal.close()
    assert sequences(folder) == [1, 2]


def test_a_failing_sync_is_never_tried_again(folder, monkeypatch):
    wal = WriteAheadLog.open(folder)
    wal.write(1, "test", 1)
    file = wal._file
    with (folder / "elsewhere").open("w") as other:
        os.dup2(os.open("/proc/self/stat", os.O_RDONLY), file)  # of a kind that can't be synced

        with pytest.raises(
            JournalError, match=r"expected to fdatasync, found: .* Nothing is sent any more\. Make room"
        ):
            wal.sync(1)
        assert wal.failure is not None
        os.dup2(other.fileno(), file)
    with pytest.raises(JournalError, match="expected to fdatasync"):
        wal.sync(1)
    with pytest.raises(JournalError, match="expected to fdatasync"):
        wal.write(1, "test", 2)
    assert wal.durable == 0
    wal.close()


FULL = """
import resource, sys
from pathlib import Path
from helios_pipeline.core.errors import JournalError
from live_engine.write_ahead_log import WriteAheadLog

wal = WriteAheadLog.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    while True:
        wal.sync(wal.write(1, "test", "x" * 100))
except JournalError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    wal.write(1, "test", "room again")
except JournalError as error:
    print(error)
print(wal.durable)
"""


@pytest.mark.parametrize("room", [1000, 1003, 1100, 1117, 1201])
def test_without_room_everything_is_refused_and_the_next_start_goes_on(folder, room):
    done = subprocess.run(
        [sys.executable, "-c", FULL, folder, str(room)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )

    first, second, durable = done.stdout.splitlines()
    assert "expected to write, found: [Errno 27] File too large. Nothing is sent any more. Make room" in first
    assert second == first
    wal = WriteAheadLog.open(folder)
    assert wal.tail.last == int(durable)
    wal.sync(wal.write(2, "test", "on"))
    wal.close()
    assert sequences(folder) == list(range(1, int(durable) + 2))


def fill_up(wal):
    while True:
        wal.sync(wal.write(1, "test", "x" * 1000))


def test_a_full_file_system_is_told_at_the_start_too(tmp_path):
    room = tmp_path / "small"
    room.mkdir()
    with small_disk(room, "64k"):
        wal = WriteAheadLog.open(room / "log")
        with pytest.raises(JournalError, match="No space left on device"):
            fill_up(wal)
        durable = wal.durable
        wal.close()

        assert sequences(room / "log") == list(range(1, durable + 1))
        assert WriteAheadLog.open(room / "log").tail.last == durable
