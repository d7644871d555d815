"""What every asset is given: settings, lake, archive, database and whoever watches the progress."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from helios_pipeline.adapters.binance.archive import Archive
from helios_pipeline.adapters.binance.archive import Progress as DownloadProgress
from helios_pipeline.adapters.binance.rest import BinanceRest
from helios_pipeline.adapters.expectations.docs import DataDocs
from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.adapters.postgres.locks import partition_lock
from helios_pipeline.core.errors import DatabaseError
from helios_pipeline.settings import Settings
from helios_pipeline.simulation.inputs import SimulationInputs

OWNER = "team:research"
"""Who answers for the assets."""


type OpenWorkers = Callable[[SimulationInputs], AbstractContextManager[Executor]]
"""Opens what evaluates parameter sets on these inputs: it holds them already, or gets them once per worker."""


class Progress(Protocol):
    """Hears how far a long step is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Say that `done` of `total` are done in a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The resource of jobs that keep house: it asks no archive, so it is there when the archive is not.

    Attributes:
        settings: what is in force.
        database_url: PostgreSQL as role `helios_pipeline`; None where none is running.
    """

    settings: Settings
    database_url: str | None

    def database(self) -> str:
        """The database's address.

        Raises:
            DatabaseError: this process was started without one.
        """
        return _required(self.database_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Research:
    """The one resource of the assets.

    Attributes:
        settings: what to do.
        market_data: which market the archive holds: `binance`, or a simulated one by name. Bars of two markets are
            never mixed: each has its own lake, and its name stands in every ledger entry and manifest.
        lake: the Parquet lake of that market.
        expectations: judges frames by what is expected of them, and keeps a page of each verdict.
        archive: opens the archive.
        rest: opens the venue's REST interface.
        has_tail: whether REST serves the same market as the archive, so that it may continue it.
        now: when this work began, UTC: what is published or over is judged by one instant.
        refresh: ask the archive again even about months that are final.
        unattended: nobody waits for this work, so a source that does not answer is asked again minutes later.
        database_url: PostgreSQL as role `helios_pipeline`; None where none is running.
        open_workers: opens what evaluates parameter sets, here or on a cluster; changes no result.
        progress: hears how far a long step is.
        downloads: hears of every file and byte.
    """

    settings: Settings
    market_data: str
    lake: Lake
    expectations: DataDocs
    archive: Callable[[], AbstractContextManager[Archive]]
    rest: Callable[[], AbstractContextManager[BinanceRest]]
    has_tail: bool
    now: datetime
    refresh: bool
    unattended: bool
    database_url: str | None
    open_workers: OpenWorkers
    progress: Progress
    downloads: DownloadProgress

    def database(self) -> str:
        """The database's address.

        Raises:
            DatabaseError: this process was started without one.
        """
        return _required(self.database_url)

    @contextmanager
    def lock(self, asset: str, *partitions: str) -> Iterator[None]:
        """Keep every other process off some partitions of an asset while they are replaced."""
        with partition_lock(self.database(), f"{self.market_data}/{asset}", *partitions):
            yield


def _required(database_url: str | None) -> str:
    if database_url is None:
        raise DatabaseError(
            "database: expected an address in HELIOS_PIPELINE_DATABASE_URL, found none. Start Dagster with "
            "`helios dagster`, which brings the database up and passes its address on."
        )
    return database_url
