"""Binance's public archive: what is published of a month, and its contents, verified."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from helios_pipeline.adapters.binance.archive_layout import ArchiveFile, MonthRequest
from helios_pipeline.adapters.binance.archive_source import ArchiveSource, open_source
from helios_pipeline.adapters.binance.archive_zip import unzip_csv
from helios_pipeline.adapters.binance.retry import RetrySettings
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.records import REAL_MARKET

PUBLIC_ARCHIVE_URL = "https://data.binance.vision"
SIMULATED_MARKER = "SIMULATED.json"
_HASH_DIGITS = 64
_DIGEST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """Where the archive is and how to read it.

    Attributes:
        base_url: its root: `https://`, `http://` or `file://`.
        cache_folder: where downloads are kept; a `file://` archive is read where it lies.
        concurrency: files at once.
        attempts: tries of one request.
        backoff_seconds: wait after a first failure; see `RetrySettings`.
        timeout_seconds: longest silence of the server.
    """

    base_url: str
    cache_folder: Path
    concurrency: int
    attempts: int
    backoff_seconds: float
    timeout_seconds: float


class Progress(Protocol):
    """Told how far a job is; calls come from several threads, one at a time."""

    def started(self, files: int) -> None:
        """That many more files are to be looked for or fetched."""

    def received(self, size: int) -> None:
        """That many more bytes are here; negative where a damaged file was thrown away."""

    def finished(self, name: str) -> None:
        """A file is complete."""


class NoProgress:
    """Nobody is told."""

    def started(self, files: int) -> None:
        """Ignored."""

    def received(self, size: int) -> None:
        """Ignored."""

    def finished(self, name: str) -> None:
        """Ignored."""


class Archive:
    """An open archive; see `open_archive`."""

    def __init__(self, source: ArchiveSource, settings: ArchiveSettings) -> None:
        self._source = source
        self._settings = settings

    def plan(
        self, requests: Sequence[MonthRequest], *, today: date, progress: Progress | None = None
    ) -> dict[MonthRequest, tuple[ArchiveFile, ...]]:
        """What is published of each month: the monthly zip, or else the zips of its days.

        Only checksums are read, concurrently. `archive_layout.files_version` of the result tells whether anything
        changed since the last time.

        Args:
            requests: what is wanted.
            today: UTC; its file and later ones are not asked for.
            progress: told of each file that is looked for.

        Returns:
            Files in order of time; none where nothing is published.

        Raises:
            DataError: the archive can't be reached, or a checksum file is none.
        """
        report = _Report(progress or NoProgress())
        monthly = self._published([(request, request.monthly) for request in requests if request.monthly], report)
        rest = [request for request in requests if request not in monthly]
        daily = self._published([(request, path) for request in rest for path in request.daily(today)], report)
        return {request: monthly.get(request) or daily.get(request, ()) for request in requests}

    def fetch(self, files: Iterable[ArchiveFile], *, progress: Progress | None = None) -> None:
        """Make files available on this machine: download what is not in the cache, verify every hash.

        Raises:
            DataError: a file can't be had or is damaged. What is complete stays; running again completes the rest.
        """
        wanted = list(dict.fromkeys(files))
        report = _Report(progress or NoProgress())
        report.started(len(wanted))

        def obtain(file: ArchiveFile) -> None:
            self._source.obtain(file, on_bytes=report.received)
            report.finished(file.name)

        with self._threads() as pool:
            for _ in pool.map(obtain, wanted):
                pass

    def read_csv(self, file: ArchiveFile) -> bytes:
        """The CSV inside a file, which is fetched if need be and whose hash is checked again.

        Raises:
            DataError: it can't be had, or zip or hash are damaged.
        """
        path = self._source.obtain(file, on_bytes=lambda _: None)
        return unzip_csv(path.read_bytes(), name=file.name)

    def close(self) -> None:
        """Let go of connections; whatever is going on ends with an error."""
        self._source.close()

    def market_data_identity(self) -> str:
        """Whose market this is: `binance`, or what the archive's marker says: `simulated seed 7 market 0a1b2c3d`.

        The last word is the beginning of the digest of all its settings: with another edge it is another market.

        Raises:
            DataError: the marker is there but no JSON with a seed and a digest.
        """
        marker = self._source.read_small(SIMULATED_MARKER)
        if marker is None:
            return REAL_MARKET
        try:
            stated = json.loads(marker)
            return f"simulated seed {stated['seed']} market {stated['settings'][:_DIGEST_SHOWN]}"
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{SIMULATED_MARKER}: expected JSON with seed and settings, found {marker[:80]!r}. Write the archive "
                "again."
            ) from None

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        """A pool that starts nothing more once something failed, and does not keep waiting after Ctrl-C."""
        pool = ThreadPoolExecutor(max_workers=self._settings.concurrency, thread_name_prefix="archive")
        try:
            yield pool
        except KeyboardInterrupt:
            self.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _published(
        self, asked: Sequence[tuple[MonthRequest, str]], report: "_Report"
    ) -> dict[MonthRequest, tuple[ArchiveFile, ...]]:
        """Those of the paths that are published, by request; requests without any are left out."""
        report.started(len(asked))

        def read(path: str) -> ArchiveFile | None:
            file = self._read_checksum(path)
            report.finished(path.rpartition("/")[2])
            return file

        published: dict[MonthRequest, tuple[ArchiveFile, ...]] = {}
        with self._threads() as pool:
            for (request, _), file in zip(asked, pool.map(read, [path for _, path in asked]), strict=True):
                if file is not None:
                    published[request] = (*published.get(request, ()), file)
        return published

    def _read_checksum(self, path: str) -> ArchiveFile | None:
        """The file at a path with its published hash; None if it is not published."""
        checksum = self._source.read_small(f"{path}.CHECKSUM")
        if checksum is None:
            return None
        name = path.rpartition("/")[2]
        sha256, _, named = checksum.decode("ascii", "replace").strip().partition(" ")
        if len(sha256) != _HASH_DIGITS or named.lstrip(" *") != name:
            raise DataError(
                f"{path}.CHECKSUM: expected '<SHA-256>  {name}', found {checksum[:100]!r}. Run again; if it repeats, "
                "the source itself is damaged."
            )
        return ArchiveFile(path=path, sha256=sha256.lower())


@contextmanager
def open_archive(settings: ArchiveSettings) -> Iterator[Archive]:
    """Open an archive and let go of its connections at the end.

    Raises:
        SettingsError: the URL's scheme is not `https`, `http` or `file`.
        DataError: the folder of a `file` URL does not exist.
    """
    source = open_source(
        settings.base_url,
        cache=settings.cache_folder,
        retries=RetrySettings(attempts=settings.attempts, backoff_seconds=settings.backoff_seconds),
        timeout_seconds=settings.timeout_seconds,
        connections=settings.concurrency,
    )
    try:
        yield Archive(source, settings)
    finally:
        source.close()


class _Report:
    """Passes on what happens in several threads, one call at a time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    def started(self, files: int) -> None:
        with self._lock:
            self._progress.started(files)

    def received(self, size: int) -> None:
        with self._lock:
            self._progress.received(size)

    def finished(self, name: str) -> None:
        with self._lock:
            self._progress.finished(name)
