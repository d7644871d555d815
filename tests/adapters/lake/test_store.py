import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.core.errors import DataError, SettingsError

BTC = "BTCUSDT-PERP.BINANCE"
FRAME = pl.DataFrame(
    {"opened_at": [datetime(2024, 1, 1, tzinfo=UTC)], "close": [1.5], "note": [None]},
    schema={"opened_at": pl.Datetime("us", "UTC"), "close": pl.Float64, "note": pl.String},
)


def replace(lake: Lake, frame: pl.DataFrame = FRAME, *, month: str = "2024-01", version: str = "v1") -> None:
    lake.replace("bars_15m", frame, instrument=BTC, month=month, version=version, facts={"gaps": [1, {"a": None}]})


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "object store"])
def lake(request, tmp_path) -> Lake:
    return Lake(str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}/lake")


def test_a_partition_is_read_as_it_was_written(lake) -> None:
    replace(lake)

    assert lake.read("bars_15m", instrument=BTC, month="2024-01").equals(FRAME)
    assert lake.read("bars_15m", instrument=BTC, month="2024-01").schema == FRAME.schema
    assert lake.version("bars_15m", instrument=BTC, month="2024-01") == "v1"
    assert lake.facts("bars_15m", instrument=BTC, month="2024-01") == {"gaps": [1, {"a": None}]}


def test_replacing_leaves_nothing_of_what_was_there(lake) -> None:
    replace(lake, pl.concat([FRAME, FRAME]), version="old")
    replace(lake, version="new")

    assert lake.read("bars_15m", instrument=BTC, month="2024-01").height == 1
    assert lake.version("bars_15m", instrument=BTC, month="2024-01") == "new"


def test_months_are_listed_in_order(lake) -> None:
    for month in ("2024-11", "2023-12", "2024-02"):
        replace(lake, month=month)

    assert lake.months("bars_15m", instrument=BTC) == ["2023-12", "2024-02", "2024-11"]
    assert lake.months("bars_15m", instrument="ETHUSDT-PERP.BINANCE") == []


def test_what_was_never_written_has_no_version_and_is_named_when_read(lake) -> None:
    assert lake.version("bars_15m", instrument=BTC, month="2024-01") is None
    assert lake.facts("bars_15m", instrument=BTC, month="2024-01") == {}
    with pytest.raises(DataError, match=r"2024-01\.parquet: expected the partition .* found no file"):
        lake.read("bars_15m", instrument=BTC, month="2024-01")


def test_partitions_of_another_kind_have_names(lake) -> None:
    lake.replace_named("sweep_results", "round-7", FRAME, version="v", facts={"sets": 3})

    assert lake.read_named("sweep_results", "round-7").equals(FRAME)
    assert lake.version_named("sweep_results", "round-7") == "v"
    assert lake.facts_named("sweep_results", "round-7") == {"sets": 3}
    assert (lake.root / "sweep_results" / "round-7.parquet").is_file()


def test_a_partition_written_frame_by_frame_is_read_as_one_and_has_equal_bytes_each_time(lake) -> None:
    for name in ("round-7", "round-8"):
        lake.replace_streamed("sweep_results", name, iter([FRAME, FRAME, FRAME]), version="v", facts={"sets": 3})

    assert lake.read_named("sweep_results", "round-7").equals(pl.concat([FRAME] * 3))
    assert lake.version_named("sweep_results", "round-7") == "v"
    assert lake.facts_named("sweep_results", "round-7") == {"sets": 3}
    one, other = (lake.root / "sweep_results" / f"round-{number}.parquet" for number in (7, 8))
    assert one.read_bytes() == other.read_bytes()


def test_partitions_are_listed_and_removed_together(lake) -> None:
    for number in (10, 9):
        lake.replace_named("sweep_chunks/round-7", f"{number:04}", FRAME, version="v", facts={})

    assert lake.names("sweep_chunks/round-7") == ["0009", "0010"]
    lake.remove_all("sweep_chunks/round-7")
    lake.remove_all("sweep_chunks/round-7")
    assert lake.names("sweep_chunks/round-7") == []


def test_the_layout_is_asset_instrument_month(tmp_path) -> None:
    replace(Lake(str(tmp_path)))

    assert files_of(tmp_path) == [f"bars_15m/{BTC}/2024-01.parquet"]


def test_any_parquet_reader_can_read_a_partition(tmp_path) -> None:
    replace(Lake(str(tmp_path)))

    assert pl.read_parquet(tmp_path / "bars_15m" / BTC / "2024-01.parquet").equals(FRAME)


@pytest.mark.parametrize("streamed", [False, True])
def test_every_flipped_byte_is_noticed_and_the_file_named(tmp_path, streamed) -> None:
    lake = Lake(str(tmp_path))
    replace(lake)
    if streamed:
        lake.replace_streamed("bars_15m", f"{BTC}/2024-01", [FRAME, FRAME], version="v", facts={})
    path = tmp_path / "bars_15m" / BTC / "2024-01.parquet"
    whole = path.read_bytes()

    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError, match=r"2024-01\.parquet: expected a whole Parquet file"):
            lake.read("bars_15m", instrument=BTC, month="2024-01")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_noticed_and_named(tmp_path, keep: float) -> None:
    lake = Lake(str(tmp_path))
    replace(lake)
    path = tmp_path / "bars_15m" / BTC / "2024-01.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])

    with pytest.raises(DataError, match=r"2024-01\.parquet: expected a whole Parquet file"):
        lake.read("bars_15m", instrument=BTC, month="2024-01")
    with pytest.raises(DataError, match=r"2024-01\.parquet: expected a whole Parquet file"):
        lake.version("bars_15m", instrument=BTC, month="2024-01")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch) -> None:
    lake = Lake(str(tmp_path))
    replace(lake, version="old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        replace(lake, version="new")

    assert files_of(tmp_path) == [f"bars_15m/{BTC}/2024-01.parquet"]
    assert lake.version("bars_15m", instrument=BTC, month="2024-01") == "old"


def _killed_before_the_rename(root: str) -> None:
    os.fsync = lambda _: os._exit(9)
    replace(Lake(root), version="new")


def test_a_writer_killed_before_the_rename_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path) -> None:
    lake = Lake(str(tmp_path))
    replace(lake, version="old")
    writer = multiprocessing.get_context("spawn").Process(target=_killed_before_the_rename, args=(str(tmp_path),))
    writer.start()
    writer.join()

    assert writer.exitcode == 9
    assert len(files_of(tmp_path)) == 2
    assert lake.version("bars_15m", instrument=BTC, month="2024-01") == "old"
    assert lake.months("bars_15m", instrument=BTC) == ["2024-01"]
    replace(lake, version="newer")
    assert files_of(tmp_path) == [f"bars_15m/{BTC}/2024-01.parquet"]


def test_a_url_whose_file_system_is_not_installed_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"lake: expected a folder or a URL .* 'adl://a/b'"):
        Lake("adl://a/b")
