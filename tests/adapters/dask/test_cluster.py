import os
import signal
from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from helios_pipeline.adapters.dask.cluster import Preparation, open_cluster, require_cluster
from helios_pipeline.cli import research
from helios_pipeline.core.errors import SettingsError, SimulationError
from helios_pipeline.settings import load_settings
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.pools import preparation
from helios_pipeline.sweep.run import Workers, run_sweep
from tests.generated_market import BTC, make_bars, make_inputs
from tests.helios_home import SMALL, write_settings

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

GRID = Grid(
    lookback_bars=(12, 24, 48),
    funding_weight=(0.0, 0.5),
    entry_z=(1.0, 1.5, 2.0),
    exit_z=(0.0, 0.5),
    max_holding_bars=(24, 48),
    cooldown_bars=(0, 4),
    stop_atr=(0.0, 3.0),
)


@pytest.fixture(scope="module")
def inputs():
    return make_inputs({BTC: make_bars(seed=1, days=75)}, warm_up_days=5, days=75)


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as running:
        yield running


def sweep_on(inputs, executor, progress=lambda done, total: None):
    workers = Workers(executor=executor, chunk_size=12, progress=progress)
    return run_sweep(inputs, GRID, start=inputs.first_slot, stop=len(inputs.opened_at), workers=workers)


def test_a_cluster_of_processes_measures_the_same_bits_also_when_a_worker_is_killed(inputs, cluster):
    here = sweep_on(inputs, None)
    killed = []

    def kill_once(done, total):
        if not killed:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    with open_cluster(cluster.scheduler_address, prepare=preparation(inputs), timeout_seconds=60) as executor:
        there = sweep_on(inputs, executor)
        damaged = sweep_on(inputs, executor, progress=kill_once)

    assert killed
    for sweep in (there, damaged):
        assert sweep.metrics.to_numpy().tobytes() == here.metrics.to_numpy().tobytes()
        assert sweep.blocks.tobytes() == here.blocks.tobytes()


def test_a_scheduler_that_goes_away_is_one_line_and_not_a_result(inputs):
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:

        def close(done, total):
            cluster.close()

        with (
            pytest.raises(SimulationError, match="but the scheduler went away"),
            open_cluster(cluster.scheduler_address, prepare=preparation(inputs), timeout_seconds=5) as executor,
        ):
            sweep_on(inputs, executor, progress=close)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_an_address_without_a_scheduler_is_refused(address):
    with pytest.raises(SettingsError, match=f"expected a Dask scheduler at {address}, found none"):
        require_cluster(address, timeout_seconds=1)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:", ""])
def test_what_is_no_address_is_refused_at_once(address):
    # For longer than any test may take it would wait for a scheduler.
    with pytest.raises(SettingsError, match=f"as tcp://host:port, found '{address}'"):
        require_cluster(address, timeout_seconds=3_600)


def test_a_worker_that_can_not_be_prepared_is_named():
    def refuse():
        raise SettingsError("worker: expected the same code")

    with pytest.raises(SettingsError, match=r"cluster, tcp://10.0.0.6:1: worker: expected the same code"):
        Preparation("p", refuse).setup(SimpleNamespace(address="tcp://10.0.0.6:1"))


def test_a_command_asks_for_its_cluster_before_its_first_step(tmp_path):
    write_settings(tmp_path / "helios.toml", SMALL)
    settings = load_settings(tmp_path / "helios.toml", {})

    with pytest.raises(SettingsError, match="expected a Dask scheduler"):
        research.run(settings, research.EVERY_STEP, cluster="tls://127.0.0.1:9")

    assert not settings.home.exists()
