"""Evaluate many parameter sets, here or on any executor, with the same result whatever computes them."""

import hashlib
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import Evaluation, evaluate
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.sweep.grid import Grid, parameter_frame

type Progress = Callable[[int, int], None]
"""Called with the sets evaluated so far and the sets in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who evaluates a sweep, in what portions, and who hears of it. Changes no result.

    Attributes:
        executor: any `concurrent.futures.Executor`; None for this thread.
        chunk_size: sets in one task. A task should last a tenth of a second or more: some hundreds of sets.
        progress: called in this thread after each finished chunk.
    """

    executor: Executor | None
    chunk_size: int
    progress: Progress

    def __post_init__(self) -> None:
        """Refuse chunks of nothing."""
        if self.chunk_size < 1:
            raise SettingsError(f"chunk_size: expected at least 1 set, found {self.chunk_size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep measured.

    Attributes:
        metrics: one row per set, in the order given: the parameters, then the columns of `Evaluation.metrics`.
        blocks: (sets, 16, 3): days, Σr, Σr² of each block of days, as `Evaluation.blocks`.
    """

    metrics: pl.DataFrame
    blocks: NDArray[np.float64]


def run_sweep(
    inputs: SimulationInputs, sets: Grid | Sequence[ParameterSet], *, start: int, stop: int, workers: Workers
) -> Sweep:
    """Evaluate every set over the slots [start, stop).

    Sets with equal lookbacks travel together, so that a chunk computes few price z-scores.

    Args:
        inputs: the markets; an executor from `open_pool` holds them already, any other gets them once per worker.
        sets: a grid, or sets in any order.
        start: first evaluated slot.
        stop: slot after the last evaluated one.
        workers: who evaluates.

    Raises:
        SettingsError: there is nothing to evaluate.
        SimulationError: a worker ended without an answer; nothing of the sweep is returned.
    """
    points = sets.points() if isinstance(sets, Grid) else list(sets)
    if not points:
        raise SettingsError("sweep: expected one or more parameter sets, found none")
    order = sorted(range(len(points)), key=lambda index: points[index].lookback_bars)
    size = workers.chunk_size
    chunks = [[points[index] for index in order[first : first + size]] for first in range(0, len(order), size)]
    if workers.executor is None:
        parts = _evaluate_here(inputs, chunks, start=start, stop=stop, progress=workers.progress)
    else:
        parts = _evaluate_on(workers.executor, inputs, chunks, start=start, stop=stop, progress=workers.progress)
    as_given = np.argsort(order)
    metrics = pl.concat([part.metrics for part in parts])[as_given]
    blocks = np.concatenate([part.blocks for part in parts])[as_given]
    return Sweep(metrics=pl.concat([parameter_frame(points), metrics], how="horizontal"), blocks=blocks)


def _evaluate_here(
    inputs: SimulationInputs, chunks: list[list[ParameterSet]], *, start: int, stop: int, progress: Progress
) -> list[Evaluation]:
    parts: list[Evaluation] = []
    for chunk in chunks:
        parts.append(evaluate(inputs, chunk, start=start, stop=stop))
        progress(sum(map(len, chunks[: len(parts)])), sum(map(len, chunks)))
    return parts


def _evaluate_on(
    executor: Executor,
    inputs: SimulationInputs,
    chunks: list[list[ParameterSet]],
    *,
    start: int,
    stop: int,
    progress: Progress,
) -> list[Evaluation]:
    pickled = pickle.dumps(inputs, protocol=pickle.HIGHEST_PROTOCOL)
    key = _key(pickled)
    parts: dict[int, Evaluation] = {}
    pending: dict[Future[Evaluation | None], int] = {}
    try:
        for index, chunk in enumerate(chunks):
            pending[executor.submit(evaluate_chunk, key, None, chunk, start, stop)] = index
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                index, part = pending.pop(future), future.result()
                if part is None:  # this worker had not seen the inputs: send them along, and it keeps them
                    pending[executor.submit(evaluate_chunk, key, pickled, chunks[index], start, stop)] = index
                    continue
                parts[index] = part
                progress(sum(len(chunks[done]) for done in parts), sum(map(len, chunks)))
    except BrokenExecutor as error:
        raise SimulationError(
            f"sweep: expected every worker to answer, but one ended with {len(parts)} of {len(chunks)} chunks done "
            f"({error}). Nothing of this sweep was kept. Most likely it was killed or memory ran out: run it again, "
            "with fewer workers if memory is short."
        ) from error
    finally:
        for future in pending:
            future.cancel()
    return [parts[index] for index in range(len(chunks))]


_held: dict[str, SimulationInputs] = {}
"""In a worker: the inputs it was last sent, by key. One at a time, so that memory stays bounded."""


def hold_inputs(key: str, pickled: bytes) -> None:
    """In a worker: keep the inputs for the chunks to come."""
    loaded = pickle.loads(pickled)
    _held.clear()
    _held[key] = loaded


def evaluate_chunk(
    key: str, pickled: bytes | None, chunk: list[ParameterSet], start: int, stop: int
) -> Evaluation | None:
    """In a worker: evaluate some sets on the inputs it holds; None if it holds others and was sent none."""
    if pickled is not None:
        hold_inputs(key, pickled)
    inputs = _held.get(key)
    return None if inputs is None else evaluate(inputs, chunk, start=start, stop=stop)


@contextmanager
def open_pool(inputs: SimulationInputs, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that hold the inputs from their start and end with the block, or with this process however it dies.

    Args:
        inputs: sent once to each worker.
        workers: processes; 0 for one per core.
    """
    pickled = pickle.dumps(inputs, protocol=pickle.HIGHEST_PROTOCOL)
    # Workers fork from a server that never runs our code: this process has threads (polars, Dagster) whose locks a
    # forked child would inherit. The server may import numba, which saves each worker a second; polars may not be
    # there, for its import starts threads.
    context = get_context("forkserver")
    context.set_forkserver_preload(["numba"])
    executor = ProcessPoolExecutor(
        max_workers=workers or None,
        mp_context=context,
        initializer=_start_worker,
        initargs=(_key(pickled), pickled),
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker(key: str, pickled: bytes) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    hold_inputs(key, pickled)


def _end_with_parent() -> None:
    # A worker holds both ends of its task queue, so it would wait for ever after a parent that was killed.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        signal.raise_signal(signal.SIGKILL)


def _key(pickled: bytes) -> str:
    return hashlib.sha256(pickled).hexdigest()
