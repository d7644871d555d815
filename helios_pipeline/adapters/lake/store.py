"""The Parquet lake: one file per asset partition, replaced whole or not at all."""

import itertools
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow
import pyarrow.parquet
from upath import UPath

from helios_pipeline.adapters.lake.digest import NO_DIGEST, is_whole, write_digest
from helios_pipeline.core.errors import DataError, SettingsError

_VERSION = "helios.version"
_FACTS = "helios.facts"
_UNFINISHED = ".unfinished"


class Lake:
    """Frames by asset, instrument and month, each with its version and facts inside its own file.

    The layout is `<root>/<asset>/<instrument>/<month>.parquet`, for partitions of another kind
    `<root>/<asset>/<name>.parquet`. A reader sees the old file or the new one, never a part; on an object store the put
    is what makes it so.

    Args:
        root: folder or URL (`s3://bucket/lake`).

    Raises:
        SettingsError: the package for that kind of URL is not installed.
    """

    def __init__(self, root: str) -> None:
        self.root = UPath(root)
        try:
            self.root.exists()
        except ImportError as error:
            raise SettingsError(
                f"lake: expected a folder or a URL whose file system is installed, found {root!r} ({error}). Install "
                "that package or use a folder."
            ) from error

    def read(self, asset: str, *, instrument: str, month: str) -> pl.DataFrame:
        """The frame of a partition.

        Raises:
            DataError: it was never written, or its file is damaged.
        """
        return self.read_named(asset, f"{instrument}/{month}")

    def replace(
        self, asset: str, frame: pl.DataFrame, *, instrument: str, month: str, version: str, facts: Mapping[str, object]
    ) -> None:
        """Write a partition in place of what was there.

        Args:
            asset: e.g. `bars_15m`.
            frame: all its rows.
            instrument: instrument id.
            month: `YYYY-MM`.
            version: hash of everything the frame was made from.
            facts: what the maker counted, as JSON values, kept beside the rows.
        """
        self.replace_named(asset, f"{instrument}/{month}", frame, version=version, facts=facts)

    def version(self, asset: str, *, instrument: str, month: str) -> str | None:
        """The version a partition was written with; None if it was never written."""
        return self.version_named(asset, f"{instrument}/{month}")

    def facts(self, asset: str, *, instrument: str, month: str) -> dict[str, Any]:
        """The facts a partition was written with; empty if it was never written."""
        return self.facts_named(asset, f"{instrument}/{month}")

    def remove(self, asset: str, *, instrument: str, month: str) -> None:
        """Remove a partition, if it is there."""
        self._path(asset, f"{instrument}/{month}").unlink(missing_ok=True)

    def instruments(self, asset: str) -> list[str]:
        """Instruments of which months of an asset were written, in order."""
        folder = self.root / asset
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def months(self, asset: str, *, instrument: str) -> list[str]:
        """Months of an asset that were written, in order."""
        folder = self.root / asset / instrument
        if not folder.is_dir():
            return []
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".parquet")

    def read_named(self, asset: str, name: str) -> pl.DataFrame:
        """The frame of a partition that is not a month; see `read`."""
        path = self._path(asset, name)
        if not path.is_file():
            raise DataError(f"{path}: expected the partition {name} of {asset}, found no file. Make {asset} first.")
        content = path.read_bytes()
        if not is_whole(content):
            raise _damaged(path, "its content and the SHA-256 inside it differ")
        return pl.read_parquet(content)

    def replace_named(
        self, asset: str, name: str, frame: pl.DataFrame, *, version: str, facts: Mapping[str, object]
    ) -> None:
        """Write a partition that is not a month; see `replace`."""
        metadata = _metadata_of(version, facts)
        self._replace(asset, name, lambda file: frame.write_parquet(file, metadata=metadata))

    def replace_streamed(
        self, asset: str, name: str, frames: Iterable[pl.DataFrame], *, version: str, facts: Mapping[str, object]
    ) -> None:
        """Write a partition that is not a month and larger than memory should hold twice.

        Args:
            asset: e.g. `sweep_results`.
            name: of the partition.
            frames: one or more, of one schema: each is written before the next is asked for.
            version: hash of everything the frames were made from.
            facts: what the maker counted, as JSON values, kept beside the rows.
        """
        metadata = _metadata_of(version, facts)
        self._replace(asset, name, lambda file: _write_frames(file, frames, metadata))

    def names(self, asset: str) -> list[str]:
        """Names of the partitions of an asset that are not months, in order."""
        folder = self.root / asset
        if not folder.is_dir():
            return []
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".parquet" and path.stem[0] != ".")

    def remove_all(self, asset: str) -> None:
        """Remove every partition of an asset, if there is any."""
        folder = self.root / asset
        if folder.is_dir():
            folder.fs.rm(folder.path, recursive=True)

    def version_named(self, asset: str, name: str) -> str | None:
        """The version of a partition that is not a month; see `version`."""
        return self._metadata(asset, name).get(_VERSION)

    def facts_named(self, asset: str, name: str) -> dict[str, Any]:
        """The facts of a partition that is not a month; see `facts`."""
        facts: dict[str, Any] = json.loads(self._metadata(asset, name).get(_FACTS, "{}"))
        return facts

    def _replace(self, asset: str, name: str, write: Callable[[IO[bytes]], object]) -> None:
        path = self._path(asset, name)
        if path.protocol in ("", "file", "local"):
            _replace_local(Path(path.path), write)
            return
        with tempfile.TemporaryFile() as file, path.open("wb") as stored:
            write(file)
            write_digest(file)
            file.seek(0)
            shutil.copyfileobj(file, stored)

    def _path(self, asset: str, name: str) -> UPath:
        return self.root / asset / f"{name}.parquet"

    def _metadata(self, asset: str, name: str) -> dict[str, str]:
        path = self._path(asset, name)
        if not path.is_file():
            return {}
        try:
            with path.open("rb") as file:
                metadata = pyarrow.parquet.read_metadata(file).metadata or {}
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, str(error)) from error
        return {key.decode(): value.decode() for key, value in metadata.items()}


def _metadata_of(version: str, facts: Mapping[str, object]) -> dict[str, str]:
    return NO_DIGEST | {_VERSION: version, _FACTS: json.dumps(dict(facts), sort_keys=True)}


def _write_frames(file: IO[bytes], frames: Iterable[pl.DataFrame], metadata: Mapping[str, str]) -> None:
    """One row group a frame."""
    tables = (frame.to_arrow() for frame in frames)
    first = next(tables)
    with pyarrow.parquet.ParquetWriter(file, first.schema, compression="zstd") as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
        writer.add_key_value_metadata(metadata)


def _damaged(path: UPath, found: str) -> DataError:
    return DataError(
        f"{path}: expected a whole Parquet file, found a damaged one ({found}). Delete it and run again: it will be "
        "made anew."
    )


def _replace_local(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Temporary file in the same folder, file and folder forced to disk, rename between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*{_UNFINISHED}"):
        leftover.unlink(missing_ok=True)  # of a writer that was killed: an advisory lock admits one at a time
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        with unfinished.open("x+b") as file:
            write(file)
            write_digest(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
