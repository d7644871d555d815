"""A Dask cluster by its address, as any `concurrent.futures.Executor`.

Dask gives the task of a worker that died to another one; a worker that joins later is prepared as the first ones were.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager, suppress

from distributed import Client, KilledWorker, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from helios_pipeline.core.errors import SettingsError, SimulationError


class Preparation(WorkerPlugin):
    """Runs once in each worker before its tasks."""

    def __init__(self, name: str, prepare: Callable[[], None]) -> None:
        self.name = name
        self._prepare = prepare

    def setup(self, worker: Worker) -> None:
        """Called by Dask in every worker, also in those that join or come back later."""
        try:
            self._prepare()
        except SettingsError as error:
            raise SettingsError(f"cluster, {worker.address}: {error}") from error


@contextmanager
def open_cluster(address: str, *, prepare: Callable[[], None], timeout_seconds: float) -> Iterator[Executor]:
    """Connect to a scheduler and prepare its workers; the cluster goes on when the block ends.

    Tasks and preparation travel as pickles: connect to clusters of your own only. The workers need the same version of
    this package.

    Args:
        address: of the scheduler, e.g. `tcp://10.0.0.5:8786`.
        prepare: called once in each worker; what it holds is sent to each worker once.
        timeout_seconds: how long to wait for the scheduler, and for a first worker.

    Raises:
        SettingsError: no scheduler answers there, it has no worker, or preparation refused one.
        SimulationError: the scheduler went away, or a task ended one worker after the other.
    """
    with _connect(address, timeout_seconds) as client:
        name = f"helios-{client.id}"
        client.register_plugin(Preparation(name, prepare))
        try:
            yield client.get_executor()  # type: ignore[no-untyped-call]
        except (CancelledError, KilledWorker) as error:
            raise SimulationError(
                f"cluster: expected an answer to every task from {address}, but the scheduler went away or a task "
                f"ended its workers one after the other ({type(error).__name__}: {error}). See what their logs say, "
                "then run it again: what was finished is kept."
            ) from error
        finally:
            # Nothing is left to tidy at a scheduler that went away.
            with suppress(OSError):
                client.unregister_worker_plugin(name)  # type: ignore[no-untyped-call]


def require_cluster(address: str, *, timeout_seconds: float) -> None:
    """Refuse an address that `open_cluster` would refuse, before there is work for it.

    Args:
        address: of the scheduler.
        timeout_seconds: how long to wait for the scheduler, and for a first worker.

    Raises:
        SettingsError: it is no address, no scheduler answers there, or it has no worker.
    """
    if not re.fullmatch(r"\w+://.+:\d+", address):
        raise SettingsError(
            f"cluster: expected the address of a Dask scheduler as tcp://host:port, found {address!r}. A scheduler "
            "says its own when it starts: `dask scheduler`."
        )
    with _connect(address, timeout_seconds):
        pass


@contextmanager
def _connect(address: str, timeout_seconds: float) -> Iterator[Client]:
    try:
        client = Client(address, timeout=timeout_seconds)  # type: ignore[no-untyped-call]
    # A TypeError is what a protocol that needs certificates meets without them.
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            f"cluster: expected a Dask scheduler at {address}, found none within {timeout_seconds:g} s ({error}). "
            f"Start one with `dask scheduler`, or give its address as tcp://host:port."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout_seconds)
        except TimeoutError as error:
            raise SettingsError(
                f"cluster: expected one or more workers at {address}, found none within {timeout_seconds:g} s. Start "
                f"them with `dask worker {address}`."
            ) from error
        yield client
