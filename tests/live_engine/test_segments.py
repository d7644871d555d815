"""Logs as they lie on disk: read while they grow, torn at every byte, damaged anywhere."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.core.errors import JournalError
from live_engine.frames import MARKER, Entry, decode_entries, encode_entry, first_proof
from live_engine.segments import Follower, list_segments, read_entries, record_of
from live_engine.write_ahead_log import WriteAheadLog

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def entry(sequence, *, durable=None, text="x"):
    durable = sequence - 1 if durable is None else durable
    return Entry(sequence=sequence, epoch=1, durable=durable, journalled_at=NOW, kind="test", document={"text": text})


def log_of(folder, *entries, name=1):
    folder.mkdir(exist_ok=True)
    (folder / f"{name:016d}.log").write_bytes(b"".join(map(encode_entry, entries)))


@pytest.fixture
def folder(memory_folder):
    with tempfile.TemporaryDirectory(dir=memory_folder) as name:
        yield Path(name)


def sequences(folder, after=0):
    return [each.sequence for each in read_entries(folder, after)]


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 2**60))
def test_an_entry_read_back_is_the_same(text, sequence):
    data = encode_entry(entry(sequence, text=text))

    ((read, end),) = decode_entries(data)

    assert read == entry(sequence, text=text)
    assert end == len(data)
    assert data.startswith(MARKER)
    assert json.loads(data[12:])["record"] == {"text": text}


def test_every_bit_is_checked():
    data = encode_entry(entry(1))

    for place in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[place] ^= 1 << bit
            assert list(decode_entries(bytes(broken))) == []


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(0, 80))
def test_noise_is_no_entry_and_hides_none_behind_it(noise, place):
    whole = encode_entry(entry(9, text=MARKER.decode()))
    data = noise[:place] + MARKER + noise[place:] + whole

    proof = first_proof(data, 0, 8)

    assert proof == entry(9, text=MARKER.decode())
    assert first_proof(data, 0, 9) is None


def test_a_log_torn_at_any_byte_of_its_tail_is_cut_there_and_goes_on(folder):
    entries = [entry(1), entry(2), entry(3)]
    whole = b"".join(map(encode_entry, entries))
    two = len(whole) - len(encode_entry(entries[2]))

    for size in range(two, len(whole)):
        torn = folder / str(size)
        torn.mkdir()
        (torn / f"{1:016d}.log").write_bytes(whole[:size])

        assert sequences(torn) == [1, 2]
        wal = WriteAheadLog.open(torn)
        assert (wal.tail.last, wal.tail.size, wal.tail.torn) == (2, two, size - two)
        assert wal.write(2, "test", "new") == 3
        wal.sync(3)
        wal.close()
        assert sequences(torn) == [1, 2, 3]


def test_a_tail_that_was_never_synced_may_be_torn_in_any_way(folder):
    """After a power cut: pages of the last, shared sync are missing, later ones are there."""
    unsynced = [entry(each, durable=2) for each in (3, 4, 5)]
    data = b"".join(map(encode_entry, [entry(1), entry(2), *unsynced]))
    begin = len(encode_entry(entry(1)) + encode_entry(entry(2)))

    for place in range(begin, len(data), 7):
        torn = folder / str(place)
        torn.mkdir()
        (torn / f"{1:016d}.log").write_bytes(data[:place] + bytes(min(40, len(data) - place)) + data[place + 40 :])
        wal = WriteAheadLog.open(torn)
        kept = wal.tail.last
        wal.close()

        assert 2 <= kept < 5
        assert sequences(torn) == list(range(1, kept + 1))


@pytest.mark.parametrize("place", [0, 5, 9, 40, 100])
def test_damage_to_an_entry_that_was_acknowledged_is_told_with_file_and_offset(folder, place):
    log_of(folder, entry(1), entry(2), entry(3))
    path = folder / f"{1:016d}.log"
    data = bytearray(path.read_bytes())
    second = len(encode_entry(entry(1)))
    data[second + place] ^= 0xFF
    path.write_bytes(data)

    said = rf"{path} offset {second}: expected entry 2 whole, since entry 3 says .* found it damaged\. Stop the engine"
    with pytest.raises(JournalError, match=said):
        WriteAheadLog.open(folder)
    with pytest.raises(JournalError, match=said):
        list(read_entries(folder))
    assert path.read_bytes() == data


def test_nothing_may_be_torn_in_a_file_that_another_one_follows(folder):
    log_of(folder, entry(1), entry(2))
    path = folder / f"{1:016d}.log"
    path.write_bytes(path.read_bytes()[:-5])
    log_of(folder, entry(3), name=3)

    with pytest.raises(JournalError, match=r"offset \d+: expected entry 2 whole, since 0+3\.log follows"):
        sequences(folder)


def test_a_missing_file_is_told(folder):
    log_of(folder, entry(1))
    log_of(folder, entry(3), name=3)
    with pytest.raises(JournalError, match=r"expected entry 2 whole, since 0+3\.log follows; found it damaged or miss"):
        sequences(folder)

    (folder / f"{1:016d}.log").unlink()

    with pytest.raises(JournalError, match=r"expected entry 1, found 0+3\.log to be the first file"):
        sequences(folder)


def test_an_entry_out_of_turn_is_told(folder):
    log_of(folder, entry(1), entry(3))

    with pytest.raises(JournalError, match="expected entry 2, found 3"):
        sequences(folder)


def test_a_foreign_file_is_told(folder):
    (folder / "notes.log").touch()

    with pytest.raises(JournalError, match=r"expected a name like 0+1\.log\. Move the file away"):
        list_segments(folder)


def test_a_folder_without_a_log_has_no_entries(folder):
    assert sequences(folder) == []
    assert sequences(folder / "none") == []


def test_a_kind_of_a_newer_version_is_told(folder):
    with pytest.raises(JournalError, match=r"journal entry 7: expected a kind of .*found 'test'\. Another version"):
        record_of(entry(7))


def test_a_follower_reads_on_where_it_stopped_across_files_and_large_entries(folder):
    wal = WriteAheadLog.open(folder, segment_bytes=3000)
    follower = Follower(folder)
    read, wanted = [], []

    for number in range(1, 200):
        wal.write(1, "test", "x" * (3_000_000 if number == 100 else number * 7))
        wanted.append(number)
        if number % 9 == 0:
            while entries := follower.read():
                read += [each.sequence for each in entries]
            assert read == wanted
    wal.close()

    assert len(list_segments(folder)) > 20
    for after in (0, 1, 57, 99, 100, 198, 199):
        assert sequences(folder, after) == wanted[after:]


def test_a_reader_beside_a_writer_sees_whole_entries_only(folder):
    log_of(folder, entry(1))
    path = folder / f"{1:016d}.log"
    follower = Follower(folder)
    assert [each.sequence for each in follower.read()] == [1]
    second = encode_entry(entry(2))

    for size in range(len(second)):
        with path.open("ab") as file:
            file.write(second[size : size + 1])
        assert [each.sequence for each in follower.read()] == ([2] if size == len(second) - 1 else [])

    assert follower.read() == []
