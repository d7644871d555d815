import pickle
import threading

import numpy as np
import pytest

from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.simulation.ahead import empty_inputs
from helios_pipeline.simulation.arrays import PARAMETERS
from helios_pipeline.sweep import run
from helios_pipeline.sweep.pools import open_threads, preparation
from tests.generated_market import BTC, make_bars, make_inputs


def test_threads_work_side_by_side_and_end_with_the_block():
    meeting = threading.Barrier(2)

    with open_threads(2) as pool:
        arrived = list(pool.map(lambda _: meeting.wait(timeout=60), range(2)))

    assert sorted(arrived) == [0, 1]
    assert not any(thread.is_alive() for thread in pool._threads)


def test_a_prepared_worker_holds_the_inputs_that_chunks_name(monkeypatch):
    inputs = make_inputs({BTC: make_bars(seed=1, days=70)}, warm_up_days=5, days=70)
    monkeypatch.setattr(run, "_held", {})

    pickle.loads(pickle.dumps(preparation(inputs)))()

    (key,) = run._held
    assert key == run.inputs_key(pickle.dumps(inputs, protocol=pickle.HIGHEST_PROTOCOL))


def test_a_worker_with_other_code_takes_no_inputs(monkeypatch):
    prepare = pickle.loads(pickle.dumps(preparation(empty_inputs(1))))
    here = run.CODE
    monkeypatch.setattr(run, "CODE", "helios 0.1.0, sources 0123")

    with pytest.raises(SettingsError, match=f"code of who sends the sets, {here}, found helios 0.1.0, sources 0123"):
        prepare()


def test_a_span_that_is_refused_is_refused_again():
    evaluators, none = run.ThreadEvaluators(empty_inputs(1)), np.zeros(0, PARAMETERS)
    evaluators.evaluate(none, 0, 2)

    for _ in range(2):
        with pytest.raises(SimulationError, match="stop=3"):
            evaluators.evaluate(none, 0, 3)
