"""`helios simulate` from outside: what it says, what it starts, and what is left when it ends."""

import os
import signal
import socket
from datetime import UTC, datetime, timedelta

import pytest

from simulated_venues.market import SimulatedMarket
from simulated_venues.remote import RemoteVenue
from tests.helios_home import BTC, new_home
from tests.simulated_venues.conftest import make_settings
from tests.simulated_venues.recordings import raw_lines, write_raw

ANYWHERE = {
    "simulated_venues.binance_port": 0,
    "simulated_venues.dydx_port": 0,
    "simulated_venues.grpc_port": 0,
    "simulated_venues.time_scale": 60,
}
LAST_LINE = "Until Ctrl-C."


def read_until(process, wanted):
    """Lines of a process up to the first with a text in it."""
    said = []
    for line in process.stdout:
        said.append(line)
        if wanted in line:
            return "".join(said)
    raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def simulated(memory_folder):
    """A home in which both venues run, and what was said about them."""
    with new_home(memory_folder, **ANYWHERE) as home, home.started("simulate", "--instruments", BTC) as process:
        yield home, read_until(process, LAST_LINE), process
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert (process.returncode, rest.splitlines()[-1:]) == (0, ["Stopped. Accounts of dYdX are kept."])
        assert home.left_after(30) == {}
        assert not (home.home / "simulated" / "running.json").exists()


def test_it_says_what_runs_where_and_what_to_set(simulated):
    _, said, _ = simulated

    assert "Binance USD-M and dYdX v4, simulated, seed 13, 60 times as fast" in said
    assert "none of these prices is real" in said
    for part in ("http://127.0.0.1:", "ws://127.0.0.1:", "/v4/ws", "gRPC", "HELIOS_ARCHIVE_URL=http://127.0.0.1:"):
        assert part in said


def test_a_fault_is_started_listed_and_ended_from_another_terminal(simulated, run_here):
    home, _, _ = simulated

    def run(*arguments):
        return run_here("simulate", *arguments, folder=home.folder)

    started = run("fault", "slow_response", "--where", "/nobody", "--value", "5", "--venue", "dydx")
    both = run("fault", "mute", "--where", "nothing@*")
    listed = run("faults")
    run("clear", "--venue", "dydx", "--number", "1")
    left = run("faults", "--venue", "dydx")
    run("clear")
    cleared = run("faults")

    assert (started.code, started.out) == (0, "dydx: fault 1 started, answers come late.\n")
    assert [line.split(":")[0] for line in both.out.splitlines()] == ["binance", "dydx"]
    assert listed.out.count("mute") == 2
    assert "/nobody" in listed.out
    assert "mute" in left.out
    assert "/nobody" not in left.out
    assert cleared.out == "No fault is active.\n"


def test_a_fault_goes_only_to_the_venue_that_knows_it(simulated, run_here):
    home, _, _ = simulated

    alone = run_here("simulate", "fault", "halt_chain", "--seconds", "0.2", folder=home.folder)
    wrong = run_here("simulate", "fault", "halt_chain", "--venue", "binance", folder=home.folder)
    unclear = run_here("simulate", "clear", "--number", "1", folder=home.folder)

    assert alone.out.startswith("dydx: fault ")
    assert (wrong.code, "expected dydx to run" in wrong.err) == (6, True)
    assert (unclear.code, "--venue" in unclear.err) == (2, True)


def test_the_address_of_a_page_is_enough(simulated, run_here):
    _, said, _ = simulated
    url = next(word for word in said.split() if word.startswith("http://"))
    name = RemoteVenue(url).state()["venue"]

    started = run_here("simulate", "fault", "mute", "--where", "nothing@*", "--seconds", "0.2", "--url", url)

    assert started.out.startswith(f"{name}: fault ")


def test_venues_in_the_same_folder_are_refused(simulated):
    home, _, _ = simulated

    again = home.run("simulate")

    assert (again.code, len(again.lines)) == (2, 1)
    assert "--state" in again.err


def test_a_raw_recording_runs_from_the_moment_at_which_it_is_started(memory_folder, tmp_path):
    market, first = SimulatedMarket(make_settings(ids=(BTC,))), datetime(2024, 2, 27, 15, 0, 50, tzinfo=UTC)
    path = write_raw(tmp_path / "raw.gz", raw_lines(market, BTC, first, first + timedelta(minutes=3)))
    options = ("binance", "--replay", str(path), "--instruments", BTC)
    with (
        new_home(memory_folder, **ANYWHERE | {"simulated_venues.time_scale": 1}) as home,
        home.started("simulate", *options) as process,
    ):
        said = read_until(process, LAST_LINE)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)

    assert "prices recorded in" in said
    # Ctrl-C in the midst of the last line's printing has it printed again.
    assert (process.returncode, rest.splitlines()[-1:]) == (0, ["Stopped. Accounts of dYdX are kept."])


def test_a_port_that_is_taken_is_one_line_and_leaves_nothing_running(memory_folder):
    with new_home(memory_folder, **ANYWHERE) as home, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = home.run("simulate", "binance", "--binance-port", str(port), "--instruments", BTC)

        assert (outcome.code, len(outcome.lines)) == (6, 1), outcome.err
        assert f"expected port {port} of 127.0.0.1 to be free" in outcome.err
        assert home.left_after(30) == {}


def test_a_venue_that_dies_ends_it_all_and_is_named(memory_folder):
    with new_home(memory_folder, **ANYWHERE) as home, home.started("simulate", "binance", "--instruments", BTC) as run:
        read_until(run, LAST_LINE)
        (child,) = [pid for pid, said in home.processes().items() if "simulated_venues.main" in said]
        os.kill(child, signal.SIGKILL)
        rest, _ = run.communicate(timeout=60)

        assert run.returncode == 6
        assert "simulated binance: expected its process to run until it is stopped, found that it ended" in rest
        assert home.left_after(30) == {}


def test_killed_at_once_it_leaves_nothing_running(memory_folder):
    with new_home(memory_folder, **ANYWHERE) as home, home.started("simulate", "binance", "--instruments", BTC) as run:
        read_until(run, LAST_LINE)
        run.kill()
        run.wait(30)

        assert home.left_after(30) == {}
