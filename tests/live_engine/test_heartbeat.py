"""The heartbeat file: whole or not there, whoever reads it whenever."""

import multiprocessing
import os
import signal
import subprocess
import time
from decimal import Decimal

import msgspec
import pytest

from helios_pipeline.core.errors import EngineError
from live_engine.heartbeat import HEARTBEAT, read_heartbeat, remove_heartbeat, write_heartbeat
from tests.live_engine.statuses import market, status


def test_a_status_is_read_back_as_it_was_written(tmp_path):
    path = tmp_path / HEARTBEAT
    written = status(
        blocked=("trades of BTCUSDT-PERP.BINANCE are 61 s old",),
        markets=(market(signal=None, entry_price=None, closed_at=None, quantity=Decimal("0E-10")),),
    )

    write_heartbeat(path, written)

    assert read_heartbeat(path) == written
    assert [each.name for each in tmp_path.iterdir()] == [HEARTBEAT]


def test_a_signal_that_is_no_number_is_read_as_none(tmp_path):
    path = tmp_path / HEARTBEAT

    write_heartbeat(path, status(markets=(market(signal=float("nan")),)))

    assert read_heartbeat(path).markets[0].signal is None


def test_no_file_is_no_status_and_removing_it_twice_is_harmless(tmp_path):
    path = tmp_path / HEARTBEAT
    write_heartbeat(path, status())

    remove_heartbeat(path)
    remove_heartbeat(path)

    assert read_heartbeat(path) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"{}", msgspec.json.encode(status()).replace(b'"pid":4711', b'"pid":"x"')],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path, content):
    path = tmp_path / HEARTBEAT
    path.write_bytes(content)

    with pytest.raises(EngineError, match=r"expected the heartbeat of an engine of this version, found: .* remove it"):
        read_heartbeat(path)


def test_on_a_full_disk_the_old_one_is_written_over(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        path = tmp_path / HEARTBEAT
        write_heartbeat(path, status(mode_why="a longer reason"))
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "rest").write_bytes(bytes(1 << 20))

        write_heartbeat(path, status(sequence=813))

        assert read_heartbeat(path) == status(sequence=813)
        assert sorted(each.name for each in tmp_path.iterdir()) == [HEARTBEAT, "rest"]
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def _write_for_ever(path):
    sequence = 0
    while True:
        sequence += 1
        write_heartbeat(path, status(sequence=sequence))


def test_a_reader_beside_a_writer_that_is_killed_finds_whole_statuses_that_only_grow(tmp_path):
    path = tmp_path / HEARTBEAT
    context = multiprocessing.get_context("spawn")
    read = []
    for _ in range(3):
        writer = context.Process(target=_write_for_ever, args=(path,))
        writer.start()
        already = len(read)
        before = path.stat().st_ino if path.exists() else None
        while not path.exists() or path.stat().st_ino == before:
            time.sleep(0.001)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            read.append(read_heartbeat(path).sequence)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        last = read_heartbeat(path).sequence

        assert read[already:] == sorted(read[already:])
        assert last >= read[-1]
