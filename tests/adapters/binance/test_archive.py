import hashlib
import io
import multiprocessing
import shutil
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from helios_pipeline.adapters.binance.archive import ArchiveSettings, open_archive
from helios_pipeline.adapters.binance.archive_layout import ArchiveFile, MonthRequest, files_version
from helios_pipeline.core.errors import DataError, SettingsError

TODAY = date(2024, 3, 10)
JANUARY = MonthRequest(kind="klines", symbol="BTCUSDT", month="2024-01", interval="1m")
MARCH = MonthRequest(kind="klines", symbol="BTCUSDT", month="2024-03", interval="1m")
MONTHLY = "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip"
BODY = b"a line of a csv\n" * 50_000


def settings(base_url: str, cache: Path, *, attempts: int = 4, timeout_seconds: float = 5) -> ArchiveSettings:
    return ArchiveSettings(
        base_url=base_url,
        cache_folder=cache,
        concurrency=4,
        attempts=attempts,
        backoff_seconds=0.01,
        timeout_seconds=timeout_seconds,
    )


def plan(base_url: str, cache: Path, *requests: MonthRequest) -> list[tuple[ArchiveFile, ...]]:
    with open_archive(settings(base_url, cache)) as archive:
        return list(archive.plan(requests, today=TODAY).values())


def read(base_url: str, cache: Path, request: MonthRequest = JANUARY, **options) -> bytes:
    with open_archive(settings(base_url, cache, **options)) as archive:
        (file,) = archive.plan([request], today=TODAY)[request]
        archive.fetch([file])
        return archive.read_csv(file)


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Counted:
    def __init__(self) -> None:
        self.expected = self.size = 0
        self.names: list[str] = []

    def started(self, files: int) -> None:
        self.expected += files

    def received(self, size: int) -> None:
        self.size += size

    def finished(self, name: str) -> None:
        self.names.append(name)


@pytest.mark.parametrize(
    ("request_", "monthly", "first_day"),
    [
        (
            MonthRequest(kind="klines", symbol="ETHUSDT", month="2024-03", interval="15m"),
            "data/futures/um/monthly/klines/ETHUSDT/15m/ETHUSDT-15m-2024-03.zip",
            "data/futures/um/daily/klines/ETHUSDT/15m/ETHUSDT-15m-2024-03-01.zip",
        ),
        (
            MonthRequest(kind="fundingRate", symbol="ETHUSDT", month="2024-03"),
            "data/futures/um/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-03.zip",
            None,
        ),
        (
            MonthRequest(kind="metrics", symbol="ETHUSDT", month="2024-03"),
            None,
            "data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2024-03-01.zip",
        ),
    ],
)
def test_paths_are_those_of_the_public_archive(request_, monthly, first_day) -> None:
    days = request_.daily(TODAY)

    assert request_.monthly == monthly
    assert days[:1] == ([first_day] if first_day else [])
    assert len(days) in (0, 9)  # today's file and later ones can't be there yet


def test_a_month_is_its_monthly_zip_and_only_else_its_days(server, publish, tmp_path) -> None:
    publish(server, MONTHLY)
    for day in (1, 2, 5):
        publish(server, f"data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-{day:02d}.zip")
    publish(server, "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-01.zip")

    january, march = plan(server.url, tmp_path, JANUARY, MARCH)

    assert [file.name for file in january] == ["BTCUSDT-1m-2024-01.zip"]
    assert [file.name for file in march] == [f"BTCUSDT-1m-2024-03-0{day}.zip" for day in (1, 2, 5)]
    assert all(path.endswith(".CHECKSUM") for path, _ in server.requests)


def test_a_month_that_nobody_published_has_no_files(server, tmp_path) -> None:
    assert plan(server.url, tmp_path, JANUARY) == [()]


def test_the_version_of_a_month_changes_with_its_files_alone(server, publish, tmp_path) -> None:
    publish(server, MONTHLY)
    (before,) = plan(server.url, tmp_path, JANUARY)
    (again,) = plan(server.url, tmp_path, JANUARY)
    publish(server, MONTHLY, b"other content\n")
    (after,) = plan(server.url, tmp_path, JANUARY)

    assert files_version(before) == files_version(again) == files_version(reversed(before))
    assert files_version(before) != files_version(after)


def test_a_file_is_downloaded_once_and_then_taken_from_the_cache(server, publish, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)

    first, second = (read(server.url, tmp_path) for _ in range(2))

    assert first == second == BODY
    assert len(server.asked(".zip")) == 1
    assert server.bytes_served[path] == len(server.files[path])
    assert files_of(tmp_path) == [MONTHLY]


def test_a_damaged_file_in_the_cache_is_downloaded_again(server, publish, tmp_path) -> None:
    publish(server, MONTHLY, BODY)
    read(server.url, tmp_path)
    cached = tmp_path / MONTHLY
    cached.write_bytes(cached.read_bytes()[:-7] + b"damaged")

    assert read(server.url, tmp_path) == BODY
    assert len(server.asked(".zip")) == 2


def test_passing_failures_are_tried_again(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(status=503), fault(status=429, headers={"Retry-After": "0"}), fault(status=500)]
    server.faults[f"{path}.CHECKSUM"] = [fault(status=502)]

    assert read(server.url, tmp_path) == BODY
    assert len(server.asked(".zip")) == 4


def test_the_wait_that_the_server_asks_for_is_kept(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(status=429, headers={"Retry-After": "1"})]

    began = time.monotonic()
    read(server.url, tmp_path)

    assert time.monotonic() - began >= 1


def test_a_download_that_is_cut_goes_on_where_it_stopped(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    size = len(server.files[path])
    server.faults[path] = [fault(cut_after=300_000), fault(cut_after=200_000)]

    content = read(server.url, tmp_path)

    assert content == BODY
    assert server.asked(".zip") == [None, "bytes=300000-", "bytes=500000-"]
    assert server.bytes_served[path] == size
    assert files_of(tmp_path) == [MONTHLY]


def test_a_server_that_ignores_the_range_starts_the_file_anew(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(cut_after=300_000), fault(ignore_range=True)]

    assert read(server.url, tmp_path) == BODY


def test_progress_ends_at_the_size_of_the_files_whatever_happened(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(cut_after=300_000), fault(ignore_range=True, cut_after=5_000), fault(status=503)]
    counted = Counted()

    with open_archive(settings(server.url, tmp_path)) as archive:
        files = archive.plan([JANUARY], today=TODAY)[JANUARY]
        archive.fetch(files, progress=counted)

    assert counted.expected == 1
    assert counted.names == ["BTCUSDT-1m-2024-01.zip"]
    assert counted.size == len(server.files[path])


def _fetch_until_killed(base_url: str, cache: Path) -> None:
    read(base_url, cache, timeout_seconds=60)


def test_a_download_that_was_killed_goes_on_in_the_next_run(server, publish, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    whole = server.files[path]
    partial = tmp_path / f"{MONTHLY}.{hashlib.sha256(whole).hexdigest()[:12]}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(whole[:700_000])  # what a killed process leaves: a prefix under another name

    assert read(server.url, tmp_path) == BODY
    assert server.asked(".zip") == ["bytes=700000-"]
    assert server.bytes_served[path] == len(whole) - 700_000
    assert files_of(tmp_path) == [MONTHLY]


def test_a_process_killed_while_downloading_leaves_no_finished_file(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(stall_after=600_000)]
    run = multiprocessing.get_context("spawn").Process(target=_fetch_until_killed, args=(server.url, tmp_path))
    run.start()
    assert server.stalled.wait(30)
    run.kill()
    run.join()

    assert not (tmp_path / MONTHLY).exists()
    assert read(server.url, tmp_path) == BODY
    assert files_of(tmp_path) == [MONTHLY]


@pytest.mark.parametrize("present", ["complete", "longer than the file", "of another file"])
def test_what_lies_in_the_way_of_a_download_does_no_harm(server, publish, tmp_path, present) -> None:
    path = publish(server, MONTHLY, BODY)
    whole = server.files[path]
    partial = tmp_path / f"{MONTHLY}.{hashlib.sha256(whole).hexdigest()[:12]}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes({"complete": whole, "longer than the file": whole + b"x"}.get(present, b"x" * 1000))

    assert read(server.url, tmp_path) == BODY
    assert files_of(tmp_path) == [MONTHLY]


def test_a_file_unlike_its_checksum_is_fetched_twice_then_refused_by_name(server, publish, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    whole = server.files[path]
    server.files[path] = whole[:1000] + b"\0" + whole[1001:]
    found = hashlib.sha256(server.files[path]).hexdigest()

    with pytest.raises(DataError) as refusal:
        read(server.url, tmp_path)

    message = str(refusal.value)
    assert all(part in message for part in (MONTHLY, hashlib.sha256(whole).hexdigest(), found, "Run again"))
    assert len(server.asked(".zip")) == 2
    assert files_of(tmp_path) == []
    server.files[path] = whole
    assert read(server.url, tmp_path) == BODY


def test_one_refused_file_leaves_the_others_complete(server, publish, tmp_path) -> None:
    days = [
        publish(server, f"data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-0{day}.zip", BODY)
        for day in range(1, 6)
    ]
    server.files[days[4]] += b"\0"

    with open_archive(settings(server.url, tmp_path)) as archive:
        files = archive.plan([MARCH], today=TODAY)[MARCH]
        with pytest.raises(DataError, match="2024-03-05"):
            archive.fetch(files)

    assert files_of(tmp_path) == days[:4]


def test_a_server_that_never_recovers_is_named_after_the_last_attempt(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(status=503)] * 3

    with pytest.raises(DataError, match=r"2024-01\.zip: expected an answer, found status 503 at each of 3 attempts"):
        read(server.url, tmp_path, attempts=3)

    assert len(server.asked(".zip")) == 3
    assert files_of(tmp_path) == []


def test_a_server_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/.*ConnectError"):
        plan("http://127.0.0.1:9", tmp_path, JANUARY)


def test_a_server_that_falls_silent_is_given_up_and_what_came_is_kept(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(stall_after=600_000)]

    with pytest.raises(DataError, match="ReadTimeout"):
        read(server.url, tmp_path, attempts=1, timeout_seconds=1)

    (name,) = files_of(tmp_path)
    assert name.endswith(".partial")
    assert read(server.url, tmp_path) == BODY


def test_nobody_waits_for_another_attempt_after_the_archive_is_closed(server, publish, fault, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(status=503, headers={"Retry-After": "50"})] * 9
    pause = threading.Event()

    with open_archive(settings(server.url, tmp_path)) as archive, ThreadPoolExecutor(1) as pool:
        files = archive.plan([JANUARY], today=TODAY)[JANUARY]
        began = time.monotonic()
        fetching = pool.submit(archive.fetch, files)
        while not server.asked(".zip"):
            pause.wait(0.01)
        archive.close()
        with pytest.raises(Exception, match="closed"):
            fetching.result(timeout=20)

    assert time.monotonic() - began < 20


@pytest.mark.parametrize("status", [301, 302, 403, 400])
def test_other_answers_are_refused_at_once(server, publish, fault, tmp_path, status) -> None:
    path = publish(server, MONTHLY, BODY)
    server.faults[path] = [fault(status=status, headers={"Location": f"{server.url}/{path}"})]

    with pytest.raises(DataError, match=f"expected status 200, found {status}"):
        read(server.url, tmp_path)

    assert len(server.asked(".zip")) == 1


def test_a_checksum_that_is_none_is_refused(server, publish, tmp_path) -> None:
    path = publish(server, MONTHLY, BODY)
    server.files[f"{path}.CHECKSUM"] = b"<html>Sorry</html>"

    with pytest.raises(DataError, match=r"2024-01\.zip\.CHECKSUM: expected '<SHA-256>"):
        plan(server.url, tmp_path, JANUARY)


@pytest.mark.parametrize("kind", ["no zip", "wrong member", "two members", "crc", "cut"])
def test_a_zip_that_matches_its_checksum_but_is_damaged_is_refused_by_name(
    server, publish, make_zip, tmp_path, kind
) -> None:
    whole = make_zip("BTCUSDT-1m-2024-01.zip", BODY)
    content = {
        "no zip": b"<html>Sorry</html>",
        "wrong member": make_zip("ETHUSDT-1m-2024-01.zip", BODY),
        "two members": _with_a_second_member(whole),
        "crc": whole.replace(b"a line", b"A line", 1),
        "cut": whole[: len(whole) // 2],
    }[kind]
    publish(server, MONTHLY, content=content)

    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-01\.zip: expected"):
        read(server.url, tmp_path)


def test_a_folder_is_read_where_it_lies(publish, tmp_path) -> None:
    publish(tmp_path / "archive", MONTHLY, BODY)

    assert read((tmp_path / "archive").as_uri(), tmp_path / "cache") == BODY
    assert not (tmp_path / "cache").exists()


def test_a_flipped_byte_in_a_folder_is_refused_by_name(publish, tmp_path) -> None:
    publish(tmp_path, MONTHLY, BODY)
    whole = (tmp_path / MONTHLY).read_bytes()
    (tmp_path / MONTHLY).write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])

    with pytest.raises(DataError, match=r"BTCUSDT-1m-2024-01\.zip: expected SHA-256"):
        read(tmp_path.as_uri(), tmp_path / "cache")


def test_a_folder_that_lacks_one_of_a_pair_is_refused_by_name(publish, tmp_path) -> None:
    publish(tmp_path, MONTHLY, BODY)
    (tmp_path / MONTHLY).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"2024-01\.zip: expected the file that its CHECKSUM is for"):
        read(tmp_path.as_uri(), tmp_path / "cache")

    (tmp_path / "elsewhere").rename(tmp_path / MONTHLY)
    (tmp_path / f"{MONTHLY}.CHECKSUM").unlink()
    with pytest.raises(DataError, match=r"2024-01\.zip\.CHECKSUM: expected the checksum"):
        read(tmp_path.as_uri(), tmp_path / "cache")


def test_another_scheme_and_a_missing_folder_are_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match="archive URL: expected https://"):
        plan("ftp://data.binance.vision", tmp_path)
    with pytest.raises(DataError, match="expected a folder"):
        plan((tmp_path / "nowhere").as_uri(), tmp_path)


def test_a_simulated_archive_says_so(server, tmp_path) -> None:
    with open_archive(settings(server.url, tmp_path)) as archive:
        real = archive.market_data_identity()
        server.files["SIMULATED.json"] = b'{"seed": 7, "edge": 1.0, "settings": "0a1b2c3d4e5f6071"}'
        simulated = archive.market_data_identity()
        server.files["SIMULATED.json"] = b'{"seed": 7, "edge": 0.0, "settings": "f123456789abcdef"}'
        without_edge = archive.market_data_identity()
        server.files["SIMULATED.json"] = b"{"

        assert (real, simulated) == ("binance", "simulated seed 7 market 0a1b2c3d")
        assert without_edge != simulated
        with pytest.raises(DataError, match=r"SIMULATED\.json"):
            archive.market_data_identity()


def test_the_real_archive_is_read_whole_with_a_missing_month_in_the_middle(real_data, tmp_path) -> None:
    folder = "data/futures/um/monthly/klines/BTCUSDT/15m"
    months = ("2024-01", "2024-02", "2024-03")
    for month in months:
        if month != "2024-02":
            for suffix in (".zip", ".zip.CHECKSUM"):
                name = f"{folder}/BTCUSDT-15m-{month}{suffix}"
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(real_data / "binance_vision" / name, tmp_path / name)
    requests = [MonthRequest(kind="klines", symbol="BTCUSDT", month=month, interval="15m") for month in months]

    with open_archive(settings(tmp_path.as_uri(), tmp_path / "cache")) as archive:
        planned = archive.plan(requests, today=date(2025, 7, 1))
        lines = [sum(archive.read_csv(file).count(b"\n") for file in planned[request]) for request in requests]

    assert lines == [31 * 96 + 1, 0, 31 * 96 + 1]


def _with_a_second_member(content: bytes) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("more.csv", b"more\n")
    return buffer.getvalue()
