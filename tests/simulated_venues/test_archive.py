import hashlib
import io
import json
import os
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from helios_pipeline.core.errors import DataError, SettingsError
from helios_pipeline.data.funding import parse_funding_rates
from helios_pipeline.data.klines import parse_klines
from helios_pipeline.data.open_interest import parse_open_interest
from simulated_venues.archive import write_archive
from simulated_venues.frames import funding_frame, klines_frame, open_interest_frame
from simulated_venues.market import SimulatedMarket

BTC, ETH = "BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"
MONTHS = ("2024-01", "2024-02")
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
REAL = os.environ.get("HELIOS_REAL_DATA")


def write(root: Path, market: SimulatedMarket, progress=lambda done, total: None, instruments=(BTC, ETH)):
    return write_archive(root, market, instruments, MONTHS, metrics_days=2, progress=progress)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def member(path: Path) -> tuple[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return name, archive.read(name)


def rows(root: Path, pattern: str) -> pl.DataFrame:
    tables = [pl.read_csv(io.BytesIO(member(p)[1])) for p in sorted(root.rglob(pattern))]
    return pl.concat(tables)


@pytest.fixture(scope="module")
def market(make_settings):
    return SimulatedMarket(make_settings(edge=0.4))


@pytest.fixture(scope="module")
def archive(tmp_path_factory, market):
    root = tmp_path_factory.mktemp("archive")
    write(root, market)
    return root


def test_the_layout_is_the_archives(archive):
    um = "data/futures/um"
    expected = {"SIMULATED.json"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        zips = [f"{um}/daily/metrics/{symbol}/{symbol}-metrics-2024-02-{day}.zip" for day in (28, 29)]
        for month in MONTHS:
            zips += [f"{um}/monthly/klines/{symbol}/{i}/{symbol}-{i}-{month}.zip" for i in ("1m", "15m")]
            zips.append(f"{um}/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip")
        expected |= {*zips, *(path + ".CHECKSUM" for path in zips)}

    assert set(files(archive)) == expected


def test_every_checksum_is_the_files_in_sha256sum_format(archive):
    for path in archive.rglob("*.CHECKSUM"):
        zipped = path.with_suffix("")
        digest = hashlib.sha256(zipped.read_bytes()).hexdigest()

        assert path.read_text() == f"{digest}  {zipped.name}\n"
        assert member(zipped)[0] == zipped.with_suffix(".csv").name


@pytest.mark.skipif(not REAL, reason="HELIOS_REAL_DATA is not set: real market data is needed")
@pytest.mark.parametrize(
    "pattern",
    [
        "futures/um/monthly/klines/*/15m/*-15m-*.zip",
        "futures/um/monthly/klines/*/1m/*-1m-*.zip",
        "futures/um/monthly/fundingRate/*/*-fundingRate-*.zip",
        "futures/um/daily/metrics/*/*-metrics-*.zip",
    ],
)
def test_names_headers_and_cells_look_like_the_real_ones(archive, pattern):
    real_root = Path(REAL or "") / "binance_vision" / "data"
    # LTCUSDT is the archive's own file; the others were laid out again and lack the trailing zeros.
    real = max(real_root.glob(pattern), key=lambda path: ("LTCUSDT" in path.name, path.name))
    ours = sorted((archive / "data").glob(pattern))[0]
    shapes = []
    for path, root in ((real, real_root), (ours, archive / "data")):
        name, csv = member(path)
        header, first = csv.decode().splitlines()[:2]
        symbol = path.name.split("-")[0]
        place = re.sub(r"\d", "0", str(path.relative_to(root)).replace(symbol, "SYMBOL"))
        checksum = re.sub(r"[0-9a-f]{64}", "digest", path.with_name(path.name + ".CHECKSUM").read_text())
        cells = [re.sub(r"-?\d+(\.\d+)?", "0", cell) for cell in first.replace(symbol, "SYMBOL").split(",")]
        shapes.append((place, name.replace(symbol, "SYMBOL")[:9], header, cells, len(checksum.replace(symbol, "S"))))

    assert shapes[0] == shapes[1]


def test_archived_klines_equal_the_market(archive, market):
    for interval, raw_bars in (("1m", 1), ("15m", 15)):
        found = rows(archive, f"ETHUSDT-{interval}-*.zip")
        expected = klines_frame(market, ETH, FIRST, LAST, raw_bars=raw_bars)
        opened = expected["opened_at"].dt.epoch("ms")

        assert found["open_time"].to_list() == opened.to_list()
        assert found["close_time"].to_list() == (opened + raw_bars * 60_000 - 1).to_list()
        assert found["count"].to_list() == expected["trade_count"].to_list()
        for column in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"):
            assert found[column].cast(pl.Float64).to_list() == expected[column].to_list()


def test_archived_funding_equals_the_market(archive, market):
    found = rows(archive, "BTCUSDT-fundingRate-*.zip")
    expected = funding_frame(market, BTC, FIRST, LAST)

    assert found["last_funding_rate"].to_list() == expected["funding_rate"].to_list()
    assert found["calc_time"].to_list() == expected["published_at"].dt.epoch("ms").to_list()
    assert found["funding_interval_hours"].unique().to_list() == [8]


def test_the_pipeline_reads_the_archive_as_the_market_says_it(archive, market):
    klines = [
        parse_klines(member(p)[1], interval="15m", file=p.name) for p in sorted(archive.rglob("BTCUSDT-15m-*.zip"))
    ]
    funding = [parse_funding_rates(member(p)[1], file=p.name) for p in sorted(archive.rglob("BTCUSDT-funding*.zip"))]
    contracts = [parse_open_interest(member(p)[1], file=p.name) for p in sorted(archive.rglob("BTCUSDT-metrics*.zip"))]
    expected = [
        klines_frame(market, BTC, FIRST, LAST, raw_bars=15),
        funding_frame(market, BTC, FIRST, LAST),
        open_interest_frame(
            market, BTC, datetime(2024, 2, 28, 0, 5, tzinfo=UTC), datetime(2024, 3, 1, 0, 5, tzinfo=UTC)
        ),
    ]

    for parts, frame in zip((klines, funding, contracts), expected, strict=True):
        assert_frame_equal(pl.concat([part.frame for part in parts]), frame, rel_tol=1e-12, abs_tol=0.0)
        assert all(part.quarantined.is_empty() for part in parts)


def test_archived_metrics_equal_the_market_from_five_past_to_midnight(archive, market):
    found = rows(archive, "BTCUSDT-metrics-*.zip").with_columns(pl.col("create_time").str.to_datetime(time_zone="UTC"))
    first, last = datetime(2024, 2, 28, 0, 5, tzinfo=UTC), datetime(2024, 3, 1, 0, 5, tzinfo=UTC)
    expected = open_interest_frame(market, BTC, first, last)

    assert found["create_time"].to_list() == expected["measured_at"].to_list()
    assert found["sum_open_interest"].to_list() == expected["open_interest"].to_list()
    assert np.allclose(found["sum_open_interest_value"], expected["open_interest_quote"], rtol=1e-12)


def test_equal_settings_give_equal_bytes_on_any_disk(archive, market, tmp_path):
    write(tmp_path, market, instruments=(ETH, BTC))

    assert files(tmp_path) == files(archive)


def test_the_root_says_that_nothing_here_is_real(archive, market, tmp_path):
    stated = json.loads((archive / "SIMULATED.json").read_text())

    assert stated["seed"] == market.settings.seed
    assert stated["edge"] == market.settings.edge
    assert stated["description"] == "simulated market, not real prices"


def test_a_second_run_completes_what_is_missing_and_touches_nothing_else(market, tmp_path):
    seen = []
    first = write(tmp_path, market, lambda *counts: seen.append(counts))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.zip")}
    expected = files(tmp_path)
    lost = next(tmp_path.rglob("ETHUSDT-fundingRate-2024-02.zip.CHECKSUM"))
    lost.unlink()
    second = write(tmp_path, market)
    third = write(tmp_path, market)

    assert (first.written, first.skipped) == (16, 0)
    assert (second.written, second.skipped) == (1, 15)
    assert (third.written, third.skipped) == (0, 16)
    assert files(tmp_path) == expected
    assert [p.name for p, at in before.items() if p.stat().st_mtime_ns != at] == [lost.name.removesuffix(".CHECKSUM")]
    assert seen[0] == (0, 16)
    assert seen[-1] == (16, 16)


def test_another_market_or_real_data_in_the_folder_is_refused_and_kept(market, tmp_path):
    write(tmp_path / "simulated", market, instruments=(BTC,))
    kept = files(tmp_path)
    other = SimulatedMarket(replace(market.settings, seed=8))
    with pytest.raises(DataError, match="Delete that folder or choose another"):
        write(tmp_path / "simulated", other)
    real = tmp_path / "real" / "data" / "futures"
    real.mkdir(parents=True)
    with pytest.raises(DataError, match=r"without SIMULATED\.json"):
        write(tmp_path / "real", market)

    assert files(tmp_path) == kept


def test_an_instrument_the_market_does_not_trade_is_refused(market, tmp_path):
    with pytest.raises(SettingsError, match="SOLUSDT"):
        write(tmp_path, market, instruments=("SOLUSDT-PERP.BINANCE",))


def test_a_writer_that_dies_leaves_no_file_that_looks_whole(market, tmp_path, monkeypatch):
    from simulated_venues import archive_csv as module

    class Stopped(Exception):
        pass

    def stop_at_funding(header, columns, decimals):
        if header.startswith("calc_time"):
            raise Stopped
        return kept(header, columns, decimals)

    kept = module.decimal_csv
    monkeypatch.setattr(module, "decimal_csv", stop_at_funding)
    with pytest.raises(Stopped):
        write(tmp_path, market, instruments=(BTC,))
    monkeypatch.undo()
    write(tmp_path, market, instruments=(BTC,))

    assert not list(tmp_path.rglob("*.part"))
    assert len(list(tmp_path.rglob("*.zip"))) == len(list(tmp_path.rglob("*.CHECKSUM"))) == 8
