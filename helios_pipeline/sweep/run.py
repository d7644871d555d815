"""Evaluate many parameter sets, here or on any executor, with the same result whatever computes them."""

import hashlib
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import connection, parent_process

import numpy as np
import polars as pl

from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.features.machine_code import sources_digest
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.arrays import Records
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import Evaluation, Evaluator
from helios_pipeline.simulation.summary import BLOCKS, METRICS
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.points import chunk_rows, points_frame

IN_FLIGHT = 64
"""Chunks that are with the executor at one time: enough for many workers, and bounded."""

CODE = f"helios {version('helios')}, sources {sources_digest()}"
"""What this process evaluates with, as it was when it was imported: files may be newer than what runs."""

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
    blocks: Floats


def run_sweep(inputs: SimulationInputs, sets: Grid | Records, *, start: int, stop: int, workers: Workers) -> Sweep:
    """Evaluate every set over the slots [start, stop).

    Args:
        inputs: the markets; threads share them, any other executor's worker that does not hold them gets them once.
        sets: a grid, or `PARAMETERS` in any order.
        start: first evaluated slot.
        stop: slot after the last evaluated one.
        workers: who evaluates.

    Raises:
        SettingsError: there is nothing to evaluate.
        SimulationError: a worker ended without an answer; nothing of the sweep is returned.
    """
    records = sets.records() if isinstance(sets, Grid) else sets
    chunks = chunk_rows(records, workers.chunk_size)
    rows, blocks = np.empty((len(records), len(METRICS))), np.empty((len(records), BLOCKS, 3))
    for number, part in iter_chunks(inputs, records, start=start, stop=stop, workers=workers, skip=()):
        rows[chunks[number]], blocks[chunks[number]] = part.rows, part.blocks
    metrics = Evaluation(rows=rows, blocks=blocks).metrics
    return Sweep(metrics=pl.concat([points_frame(records), metrics], how="horizontal"), blocks=blocks)


def iter_chunks(
    inputs: SimulationInputs, records: Records, *, start: int, stop: int, workers: Workers, skip: Collection[int]
) -> Iterator[tuple[int, Evaluation]]:
    """Evaluate the chunks that `chunk_rows` makes of the sets and hand each over as soon as it is finished.

    No more than `IN_FLIGHT` chunks are submitted and not yet handed over, so memory stays bounded however many sets
    there are. Progress counts the chunks that are skipped as done.

    Args:
        inputs: as for `run_sweep`.
        records: `PARAMETERS` in any order.
        start: first evaluated slot.
        stop: slot after the last evaluated one.
        workers: who evaluates.
        skip: numbers of the chunks to leave out.

    Yields:
        The chunk's number and its results, row by row as `chunk_rows(records, chunk_size)[number]`; in any order.

    Raises:
        SettingsError: there is nothing to evaluate.
        SimulationError: a worker ended without an answer; what was handed over stands.
    """
    if len(records) == 0:
        raise SettingsError("sweep: expected one or more parameter sets, found none")
    chunks = chunk_rows(records, workers.chunk_size)
    wanted = [number for number in range(len(chunks)) if number not in skip]
    done = len(records) - sum(len(chunks[number]) for number in wanted)
    executor = workers.executor
    shared = executor is None or isinstance(executor, ThreadPoolExecutor)
    task = Task(inputs, records, chunks, span=(start, stop), shared=shared)
    finished = _evaluate_on(executor, task, wanted) if executor else ((number, task.run(number)) for number in wanted)
    for number, part in finished:
        done += len(chunks[number])
        workers.progress(done, len(records))
        yield number, part


def _evaluate_on(executor: Executor, task: "Task", wanted: list[int]) -> Iterator[tuple[int, Evaluation]]:
    waiting, pending = deque(wanted), dict[Future[Evaluation | None], int]()
    done = 0
    try:
        while waiting or pending:
            while waiting and len(pending) < IN_FLIGHT:
                number = waiting.popleft()
                pending[task.submit(executor, number, with_inputs=False)] = number
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                number, part = pending.pop(future), future.result()
                if part is None:  # this worker had not seen the inputs: send them along, and it keeps them
                    pending[task.submit(executor, number, with_inputs=True)] = number
                    continue
                done += 1
                yield number, part
    except BrokenExecutor as error:
        raise SimulationError(
            f"sweep: expected every worker to answer, but one ended with {done} of {len(wanted)} chunks done "
            f"({error}). Most likely it was killed or memory ran out: run it again, with fewer workers if memory is "
            "short."
        ) from error
    finally:
        for future in pending:
            future.cancel()


class Task:
    """Evaluates one sweep's chunks on an executor: threads share the inputs, processes are sent them."""

    def __init__(
        self, inputs: SimulationInputs, records: Records, chunks: list[Integers], *, span: tuple[int, int], shared: bool
    ) -> None:
        self._evaluators, self._records, self._chunks = ThreadEvaluators(inputs), records, chunks
        self._span, self._shared = span, shared
        self._pickled = b"" if shared else pickle.dumps(inputs, protocol=pickle.HIGHEST_PROTOCOL)
        self._key = inputs_key(self._pickled)

    def run(self, number: int) -> Evaluation:
        """Evaluate a chunk in this thread."""
        return self._evaluators.evaluate(self._records[self._chunks[number]], *self._span)

    def submit(self, executor: Executor, number: int, *, with_inputs: bool) -> "Future[Evaluation | None]":
        """Hand a chunk to the executor, with the inputs for a worker that does not hold them."""
        if self._shared:
            return executor.submit(self.run, number)
        pickled = self._pickled if with_inputs else None
        return executor.submit(evaluate_chunk, self._key, pickled, self._records[self._chunks[number]], *self._span)


class ThreadEvaluators:
    """An evaluator for each thread, kept while its chunks are of one span: neighbouring chunks share a lookback."""

    def __init__(self, inputs: SimulationInputs) -> None:
        self._inputs, self._of_thread = inputs, threading.local()

    def evaluate(self, records: Records, start: int, stop: int) -> Evaluation:
        """Evaluate sets over the slots [start, stop)."""
        if getattr(self._of_thread, "span", None) != (start, stop):
            # In this order: where a span is refused, the evaluator of another one must not pass for its own.
            self._of_thread.evaluator = Evaluator(self._inputs, start, stop)
            self._of_thread.span = start, stop
        evaluator: Evaluator = self._of_thread.evaluator
        return evaluator.evaluate(records)


_held: dict[str, ThreadEvaluators] = {}
"""In a worker: the inputs it was last sent, by key. One at a time, so that memory stays bounded."""


def hold_inputs(key: str, pickled: bytes) -> None:
    """In a worker: keep the inputs for the chunks to come.

    Raises:
        SettingsError: the worker runs other code than whoever made the key, so its results would be another kernel's.
    """
    if key != inputs_key(pickled):
        raise SettingsError(
            f"worker: expected the code of who sends the sets, {key.partition(':')[0]}, found {CODE}. Install the same "
            "version of Helios on every machine, and start the workers again."
        )
    loaded = ThreadEvaluators(pickle.loads(pickled))
    _held.clear()
    _held[key] = loaded


def evaluate_chunk(key: str, pickled: bytes | None, records: Records, start: int, stop: int) -> Evaluation | None:
    """In a worker: evaluate some sets on the inputs it holds; None if it holds others and was sent none."""
    if pickled is not None:
        hold_inputs(key, pickled)
    evaluators = _held.get(key)
    return None if evaluators is None else evaluators.evaluate(records, start, stop)


def end_with_parent() -> None:
    """In a worker: end when the process that started it does, however it dies."""
    threading.Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    # A worker holds both ends of its task queue, so it would wait for ever after a parent that was killed.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        signal.raise_signal(signal.SIGKILL)


def inputs_key(pickled: bytes) -> str:
    """By which a worker knows whether it holds these inputs, and whether it evaluates them with the same code."""
    return f"{CODE}:{hashlib.sha256(pickled).hexdigest()}"
