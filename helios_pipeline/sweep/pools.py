"""Where a sweep's chunks are evaluated: threads here, or workers that somebody else started."""

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import cpu_count

from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.sweep.run import hold_inputs, inputs_key


@contextmanager
def open_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of this process, which share its inputs and its compiled code; the kernel lets go of the interpreter.

    Args:
        workers: threads; 0 for one per core.
    """
    executor = ThreadPoolExecutor(max_workers=workers or cpu_count())
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def preparation(inputs: SimulationInputs) -> Callable[[], None]:
    """What a worker calls once to hold the inputs for the chunks to come; it pickles with them."""
    pickled = pickle.dumps(inputs, protocol=pickle.HIGHEST_PROTOCOL)
    return partial(hold_inputs, inputs_key(pickled), pickled)
