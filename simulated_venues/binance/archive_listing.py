"""The listing of the public archive, in the XML of the bucket that holds it (Amazon S3, ListObjects version 1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from xml.sax.saxutils import escape

from simulated_venues.archive_zip import MARKER
from simulated_venues.binance.archive_files import (
    KINDS,
    UM,
    ArchiveFile,
    ArchiveFolder,
    intervals_of,
    published,
)
from simulated_venues.binance.symbols import listed_ms, symbols
from simulated_venues.clock import iso
from simulated_venues.source import MarketSource

BUCKET = "data.binance.vision"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_MOST_KEYS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRequest:
    """What of the bucket is asked for.

    Attributes:
        prefix: of the keys.
        delimiter: `/` to have folders in place of what lies below them; empty for all keys.
        marker: keys up to this one are left out.
        most: how many keys and folders, at most.
    """

    prefix: str
    delimiter: str
    marker: str
    most: int


def listing_request(query: Mapping[str, str]) -> ListingRequest:
    """The request of a URL's parameters; a `max-keys` that is no number counts as none."""
    most = query.get("max-keys", "")
    return ListingRequest(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        marker=query.get("marker", ""),
        most=min(int(most), _MOST_KEYS) if most.isascii() and most.isdigit() else _MOST_KEYS,
    )


def listing_xml(source: MarketSource, asked: ListingRequest, now_ms: int) -> str:
    """The answer. Sizes and ETags are left out: a file is made when it is asked for."""
    entries = (entry for entry in _entries(source, asked, "", now_ms) if entry[0] > asked.marker)
    found = list(islice(entries, asked.most + 1))
    shown, cut = found[: asked.most], len(found) > asked.most
    keys = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, modified in shown
        if modified
    )
    folders = "".join(
        f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder, at in shown if not at
    )
    following = f"<NextMarker>{escape(shown[-1][0])}</NextMarker>" if cut and shown and asked.delimiter else ""
    delimiter = f"<Delimiter>{escape(asked.delimiter)}</Delimiter>" if asked.delimiter else ""
    return (
        f'{_DECLARATION}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
        f"<Prefix>{escape(asked.prefix)}</Prefix><Marker>{escape(asked.marker)}</Marker>{following}"
        f"<MaxKeys>{asked.most}</MaxKeys>{delimiter}<IsTruncated>{str(cut).lower()}</IsTruncated>"
        f"{keys}{folders}</ListBucketResult>"
    )


def missing_xml(key: str) -> str:
    """What the bucket says of a key that it does not have."""
    return (
        f"{_DECLARATION}<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        f"<Key>{escape(key)}</Key><RequestId>SIMULATED</RequestId><HostId>SIMULATED</HostId></Error>"
    )


def _entries(source: MarketSource, asked: ListingRequest, folder: str, now_ms: int) -> Iterator[tuple[str, str]]:
    """Keys with when they were last modified, and folders with an empty text, below a folder, in order of name."""
    for name, modified in _children(source, folder, now_ms):
        path = folder + name
        if not (path.startswith(asked.prefix) or asked.prefix.startswith(path)):
            continue
        if not name.endswith("/"):
            yield path, modified
        elif asked.delimiter == "/" and path.startswith(asked.prefix) and path != asked.prefix:
            yield path, ""
        elif path >= asked.marker or asked.marker.startswith(path):
            # All that lies below a folder before the marker comes before the marker, too.
            yield from _entries(source, asked, path, now_ms)


def _children(source: MarketSource, folder: str, now_ms: int) -> Iterator[tuple[str, str]]:
    """Names in a folder, sorted; those of folders end with a slash and have no time."""
    parts, upper = folder.split("/")[:-1], UM.split("/")
    if not parts:
        yield MARKER, iso(listed_ms(source))
    match parts[len(upper) :]:
        case [] if len(parts) < len(upper):
            names = [upper[len(parts)]]
        case []:
            names = sorted(KINDS)
        case [period]:
            names = sorted(KINDS[period])
        case [_, _]:
            names = sorted(symbols(source))
        case [_, kind, _] if intervals_of(source, kind) != [""]:
            names = sorted(intervals_of(source, kind))
        case [period, kind, symbol, *interval]:
            names = []
            yield from _files(source, ArchiveFolder(period, kind, symbol, "".join(interval)), now_ms)
        case _:
            names = []
    yield from ((f"{name}/", "") for name in names)


def _files(source: MarketSource, folder: ArchiveFolder, now_ms: int) -> Iterator[tuple[str, str]]:
    """The zips of a folder and their checksums, with the ends of what they cover."""
    for when in published(source, folder.period, now_ms):
        file = ArchiveFile(folder=folder, when=when)
        modified = iso(file.days_ms()[-1][1])
        yield f"{file.stem}.zip", modified
        yield f"{file.stem}.zip.CHECKSUM", modified
