"""Reading single files of an archive, over HTTP or from a folder."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from helios_pipeline.adapters.binance.archive_layout import ArchiveFile
from helios_pipeline.adapters.binance.retry import RetrySettings, is_absent, is_passing, with_retries
from helios_pipeline.core.errors import DataError, SettingsError

_HTTP_PARTIAL = 206
_HTTP_RANGE_REFUSED = 416


class ArchiveSource(Protocol):
    """Files of an archive by their path below its root."""

    def read_small(self, path: str) -> bytes | None:
        """A small file's content; None if there is no such file."""

    def obtain(self, file: ArchiveFile, *, on_bytes: Callable[[int], None]) -> Path:
        """A path where the file lies with the published hash, after telling `on_bytes` how much of it came."""

    def close(self) -> None:
        """Let go of connections."""


class FolderSource:
    """An archive in a local folder, read where it lies."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if not root.is_dir():
            raise DataError(f"archive: expected a folder at {root}, found none. Correct the archive URL.")

    def read_small(self, path: str) -> bytes | None:
        """The file's content; None if it does not exist.

        Raises:
            DataError: a CHECKSUM is not there but the file it should be for is.
        """
        place = self._root / path
        if place.is_file():
            return place.read_bytes()
        if place.suffix == ".CHECKSUM" and place.with_suffix("").is_file():
            raise DataError(f"{place}: expected the checksum of the file beside it, found none. Put it there.")
        return None

    def obtain(self, file: ArchiveFile, *, on_bytes: Callable[[int], None]) -> Path:
        """Check the hash of the file where it lies."""
        path = self._root / file.path
        if not path.is_file():
            raise DataError(f"{path}: expected the file that its CHECKSUM is for, found none. Put it there again.")
        found = sha256_of(path)
        if found != file.sha256:
            raise mismatch(str(path), expected=file.sha256, found=found)
        on_bytes(path.stat().st_size)
        return path

    def close(self) -> None:
        """Nothing to let go of."""


class HttpSource:
    """An archive behind HTTP, copied file by file into a cache folder.

    A file appears in the cache under its name only when its hash is the published one; until then it lies beside as
    `<name>.<hash>.partial`, from which the next attempt, or the next run, goes on.

    Args:
        base_url: of the archive's root.
        cache: folder for the copies.
        retries: how often to try.
        timeout_seconds: longest silence of the server.
        connections: most at once.
    """

    def __init__(
        self, base_url: str, *, cache: Path, retries: RetrySettings, timeout_seconds: float, connections: int
    ) -> None:
        self._base = base_url.rstrip("/")
        self._cache = cache
        self._retries = retries
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._closed = threading.Event()
        # Redirects would lead to hosts that nobody chose; a compressed transfer would be other bytes than the file's.
        self._client = httpx.Client(
            timeout=timeout_seconds, limits=limits, follow_redirects=False, headers={"Accept-Encoding": "identity"}
        )

    def read_small(self, path: str) -> bytes | None:
        """The file's content; None if the server says that there is none."""
        url = f"{self._base}/{path}"

        def get() -> bytes | None:
            response = self._client.get(url)
            if is_absent(response):
                return None
            response.raise_for_status()
            return response.content

        return self._try(get, url)

    def obtain(self, file: ArchiveFile, *, on_bytes: Callable[[int], None]) -> Path:
        """Take the file from the cache, or download it; one that arrives damaged is downloaded once more.

        Raises:
            DataError: the hash was wrong twice, or the server did not give the file.
        """
        path = self._cache / file.path
        if path.is_file():
            if sha256_of(path) == file.sha256:
                on_bytes(path.stat().st_size)
                return path
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{file.sha256[:12]}.partial")
        url = f"{self._base}/{file.path}"
        reported = 0

        def on_size(size: int) -> None:
            nonlocal reported
            on_bytes(size - reported)
            reported = size

        found = ""
        for _ in range(2):
            self._try(lambda: self._download(url, partial, on_size=on_size), url)
            found = sha256_of(partial)
            if found == file.sha256:
                # Not forced to disk: after a power cut the hash tells, and the file is fetched again.
                partial.replace(path)
                return path
            partial.unlink()
            on_size(0)
        raise mismatch(url, expected=file.sha256, found=found)

    def close(self) -> None:
        """Close the connections; whoever waits for another attempt gives up."""
        self._closed.set()
        self._client.close()

    def _try[T](self, action: Callable[[], T], url: str) -> T:
        try:
            return with_retries(action, settings=self._retries, passing=self._is_passing, what=url, wake=self._closed)
        except httpx.HTTPStatusError as error:
            raise DataError(
                f"{url}: expected status 200, found {error.response.status_code}. Check the archive URL."
            ) from error

    def _is_passing(self, error: BaseException) -> bool:
        return is_passing(error) and not self._closed.is_set()

    def _download(self, url: str, partial: Path, *, on_size: Callable[[int], None]) -> None:
        """Get what is missing of a file. A server that ignores the range starts it anew."""
        present = partial.stat().st_size if partial.exists() else 0
        headers = {"Range": f"bytes={present}-"} if present else {}
        with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code == _HTTP_RANGE_REFUSED:
                # Complete already, or not this file's beginning: its hash will tell.
                return
            response.raise_for_status()
            resumed = response.status_code == _HTTP_PARTIAL
            size = present if resumed else 0
            with partial.open("ab" if resumed else "wb") as file:
                for chunk in response.iter_raw():
                    file.write(chunk)
                    size += len(chunk)
                    on_size(size)


def open_source(
    base_url: str, *, cache: Path, retries: RetrySettings, timeout_seconds: float, connections: int
) -> ArchiveSource:
    """The source for a URL with scheme `https`, `http` or `file`.

    Raises:
        SettingsError: another scheme.
        DataError: the folder of a `file` URL does not exist.
    """
    parts = urlsplit(base_url)
    if parts.scheme == "file":
        return FolderSource(Path(url2pathname(parts.path)))
    if parts.scheme in ("http", "https") and parts.netloc:
        return HttpSource(
            base_url, cache=cache, retries=retries, timeout_seconds=timeout_seconds, connections=connections
        )
    raise SettingsError(
        f"archive URL: expected https://…, http://… or file:///…, found {base_url!r}. Correct it in helios.toml or in "
        "HELIOS_ARCHIVE_URL."
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mismatch(where: str, *, expected: str, found: str) -> DataError:
    """The error of a file whose content is not the published one."""
    return DataError(
        f"{where}: expected SHA-256 {expected} as published, found {found}. Run again; if it repeats, the source "
        "itself is damaged."
    )
