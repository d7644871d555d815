"""Composition root of the Dagster code location: assets, jobs, and the one resource they share."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg

import assets
import jobs
import sensors

# Other distributions may ship packages of these names, and a folder of that name in the working directory shadows ours.
_ROOT = Path(__file__).resolve().parents[1]
for _package in (assets, jobs, sensors):
    if not _package.__file__ or Path(_package.__file__).resolve().parents[1] != _ROOT:
        raise ImportError(
            f"{_package.__name__!r}: expected the one in {_ROOT}, found {_package.__file__}. "
            "Start from another folder, or remove what hides it."
        )

from assets.backtest import backtest_report
from assets.bars import bars_15m
from assets.bias import BIAS_CHECKS
from assets.checks import CROSS_PARTITION_CHECKS
from assets.features import funding_features
from assets.market_data import raw_funding_rates, raw_klines, raw_open_interest
from assets.promotion import promoted_parameters
from assets.reports import champion_report, data_quality_report, round_report
from assets.research import Installation, OpenWorkers, Progress, Research
from assets.sweep import sweep_results
from assets.walk_forward import walk_forward_report
from helios_pipeline.adapters.binance.archive import (
    PUBLIC_ARCHIVE_URL,
    Archive,
    ArchiveSettings,
    NoProgress,
    open_archive,
)
from helios_pipeline.adapters.binance.archive import Progress as DownloadProgress
from helios_pipeline.adapters.binance.rest import PUBLIC_REST_URL, BinanceRest, RestSettings
from helios_pipeline.adapters.expectations.docs import DataDocs
from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.core.records import REAL_MARKET
from helios_pipeline.settings import Settings, load_settings
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.sweep.pools import open_threads, preparation
from jobs.agent_review import agent_review
from jobs.schedules import judge_daily, refresh_daily
from jobs.selections import daily_refresh, data_quality, optimization_round, promotion
from jobs.upkeep import prune_event_logs, weekly_upkeep
from sensors.reviews import REVIEW_SENSORS
from sensors.settings import follow_settings

BACKOFF_SECONDS = 1.0
"""Mean wait after a request's first failure; it doubles with each."""

CLUSTER_SECONDS = 30.0
"""How long a cluster's scheduler, and then its first worker, is waited for."""


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def build_research(
    settings: Settings,
    *,
    database_url: str | None,
    refresh: bool = False,
    unattended: bool = False,
    progress: Progress = silent,
    downloads: DownloadProgress | None = None,
) -> Research:
    """Build the adapters that the settings name.

    Raises:
        DataError: the archive can't be reached to learn which market it holds.
    """
    data = settings.data
    archive = partial(
        open_archive,
        ArchiveSettings(
            base_url=data.archive_url,
            cache_folder=settings.home / "archive",
            concurrency=data.concurrency,
            attempts=data.attempts,
            backoff_seconds=BACKOFF_SECONDS,
            timeout_seconds=data.timeout_seconds,
        ),
    )
    rest = RestSettings(
        base_url=data.rest_url,
        attempts=data.attempts,
        backoff_seconds=BACKOFF_SECONDS,
        timeout_seconds=data.timeout_seconds,
    )
    market_data = _market_data(data.archive_url, archive)
    market = market_data.replace(" ", "-")
    return Research(
        settings=settings,
        market_data=market_data,
        lake=Lake(str(settings.lake_folder(market_data))),
        expectations=DataDocs(settings.home / "reports" / "data_docs" / market, f"/reports/data_docs/{market}"),
        archive=archive,
        rest=lambda: BinanceRest(rest),
        # A simulated archive is never continued with the real market's prices.
        has_tail=market_data == REAL_MARKET or data.rest_url != PUBLIC_REST_URL,
        now=datetime.now(UTC),
        refresh=refresh,
        unattended=unattended,
        database_url=database_url,
        open_workers=lambda _: open_threads(settings.research.workers),
        progress=progress,
        downloads=downloads or NoProgress(),
    )


def make_definitions(research: Callable[[], Research], installation: Callable[[], Installation]) -> dg.Definitions:
    """The code location, with its resources built when a run needs it: loading it asks no network and no database."""
    return dg.Definitions(
        assets=[
            raw_klines,
            raw_funding_rates,
            raw_open_interest,
            bars_15m,
            funding_features,
            sweep_results,
            walk_forward_report,
            backtest_report,
            promoted_parameters,
            round_report,
            data_quality_report,
            champion_report,
        ],
        asset_checks=[*CROSS_PARTITION_CHECKS, *BIAS_CHECKS],
        jobs=[daily_refresh, data_quality, optimization_round, promotion, agent_review, prune_event_logs],
        schedules=[refresh_daily, judge_daily, weekly_upkeep],
        sensors=[follow_settings, *REVIEW_SENSORS],
        resources={
            "research": dg.ResourceDefinition(lambda _: research()),
            "installation": dg.ResourceDefinition(lambda _: installation()),
        },
        executor=dg.in_process_executor,
    )


def require_cluster(cluster: str) -> None:
    """Refuse the address of a cluster that does not answer or has no worker, before there is work for it.

    Args:
        cluster: address of its scheduler, `tcp://host:port`.

    Raises:
        SettingsError: it does not answer, or has no worker.
    """
    from helios_pipeline.adapters.dask import cluster as dask

    dask.require_cluster(cluster, timeout_seconds=CLUSTER_SECONDS)


def workers_of(cluster: str) -> OpenWorkers:
    """The workers of a Dask cluster instead of threads here.

    Args:
        cluster: address of its scheduler, `tcp://host:port`.
    """

    @contextmanager
    def opened(inputs: SimulationInputs) -> Iterator[Executor]:
        from helios_pipeline.adapters.dask.cluster import open_cluster

        with open_cluster(cluster, prepare=preparation(inputs), timeout_seconds=CLUSTER_SECONDS) as executor:
            yield executor

    return opened


def _market_data(archive_url: str, archive: Callable[[], AbstractContextManager[Archive]]) -> str:
    # The public archive is known to be real, so work on stored months needs no network.
    if archive_url == PUBLIC_ARCHIVE_URL:
        return REAL_MARKET
    with archive() as opened:
        return opened.market_data_identity()


def _installation_of_the_environment() -> Installation:
    settings = load_settings(Path(os.environ.get("HELIOS_CONFIG", "helios.toml")), os.environ)
    return Installation(settings=settings, database_url=os.environ.get("HELIOS_PIPELINE_DATABASE_URL"))


def _research_of_the_environment() -> Research:
    installation = _installation_of_the_environment()
    return build_research(installation.settings, database_url=installation.database_url, unattended=True)


defs = make_definitions(_research_of_the_environment, _installation_of_the_environment)
