"""The public archive over HTTP: every file is made when it is first asked for."""

import asyncio
import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulated_venues.archive_zip import MARKER, checksum_of, marker_bytes, zip_csv
from simulated_venues.binance.archive_files import ArchiveFile, csv_parts, find_file
from simulated_venues.binance.archive_listing import listing_request, listing_xml, missing_xml
from simulated_venues.clock import VenueClock
from simulated_venues.source import MarketSource

_KEPT_BYTES = 256 * 2**20
_THREADS = 2
_CHECKSUM = ".CHECKSUM"


@dataclass(frozen=True, slots=True)
class _Zip:
    """A published file.

    Attributes:
        content: its bytes.
        etag: their MD5, as the bucket names a version.
        checksum: the file beside it.
    """

    content: bytes
    etag: str
    checksum: bytes


@dataclass(slots=True)
class Archive:
    """Serves a source's history as data.binance.vision does.

    Attributes:
        source: the market.
        clock: the venue's; what is over by it is published.
    """

    source: MarketSource
    clock: VenueClock
    _kept: "_Kept" = field(default_factory=lambda: _Kept())
    _making: dict[str, asyncio.Future[_Zip]] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_THREADS, thread_name_prefix="archive")
    )

    def routes(self) -> list[web.RouteDef]:
        """Files below `/data`, and the marker."""
        return [web.get(f"/{MARKER}", self._marker), web.get("/data/{path:.+}", self._file)]

    def listing_middleware(self) -> Middleware:
        """Answers `GET /` with the bucket's listing if the query has a prefix or a delimiter."""

        @web.middleware
        async def list_keys(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != "/" or not {"prefix", "delimiter"} & request.query.keys():
                return await handler(request)
            return _xml(listing_xml(self.source, listing_request(request.query), self.clock.now_ms()))

        return list_keys

    async def _marker(self, _request: web.Request) -> web.Response:
        return web.Response(body=marker_bytes(self.source), content_type="application/json")

    async def _file(self, request: web.Request) -> web.Response:
        key = request.path.lstrip("/")
        file = find_file(self.source, key.removesuffix(_CHECKSUM), self.clock.now_ms())
        if file is None:
            return _xml(missing_xml(key), HTTPStatus.NOT_FOUND)
        zipped = await self._zipped(file)
        if key.endswith(_CHECKSUM):
            return web.Response(body=zipped.checksum, content_type="binary/octet-stream")
        return _part(request, zipped)

    async def _zipped(self, file: ArchiveFile) -> _Zip:
        """A file; however many ask for it at once, it is made once."""
        kept = self._kept.get(file.path)
        if kept is not None:
            return kept
        making = self._making.get(file.path)
        if making is None:
            making = asyncio.get_running_loop().run_in_executor(self._threads, self._make, file)
            self._making[file.path] = making
            making.add_done_callback(lambda _: self._making.pop(file.path, None))
        # Whoever gives up waiting must not take the file from the others.
        return await asyncio.shield(making)

    def _make(self, file: ArchiveFile) -> _Zip:
        content = zip_csv(f"{file.stem}.csv", csv_parts(self.source, file))
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        zipped = _Zip(content, etag, checksum_of(f"{file.stem}.zip", content))
        self._kept.put(file.path, zipped)
        return zipped


@dataclass(slots=True)
class _Kept:
    """The files that were asked for last, up to a number of bytes."""

    _files: OrderedDict[str, _Zip] = field(default_factory=OrderedDict)
    _size: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, path: str) -> _Zip | None:
        with self._lock:
            if path in self._files:
                self._files.move_to_end(path)
            return self._files.get(path)

    def put(self, path: str, file: _Zip) -> None:
        with self._lock:
            self._files[path] = file
            self._size += len(file.content)
            while self._size > _KEPT_BYTES:
                self._size -= len(self._files.popitem(last=False)[1].content)


def _xml(text: str, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/xml")


def _part(request: web.Request, file: _Zip) -> web.Response:
    """A file, or from a byte of it on, for clients that go on with a download."""
    content, headers = file.content, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(None)
    start, stop, _ = wanted.indices(len(content))
    if wanted == slice(None, None, wanted.step):
        return web.Response(body=content, headers=headers, content_type="binary/octet-stream")
    if start >= stop:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return web.Response(
        body=content[start:stop],
        status=HTTPStatus.PARTIAL_CONTENT,
        headers=headers,
        content_type="binary/octet-stream",
    )
