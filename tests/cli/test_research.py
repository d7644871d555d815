"""`helios research` and its steps from outside: what is said, what is stored, and what is left running."""

import functools
import os
import shutil
import signal
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from tests.helios_home import BTC, await_end, copy_archive

STEPS = (
    *("raw_klines", "raw_funding_rates", "raw_open_interest", "bars_15m", "funding_features"),
    *("data_quality_report", "sweep_results", "walk_forward_report", "backtest_report", "promoted_parameters"),
    *("round_report", "champion_report"),
)
GATES = (
    *("constraints", "out of sample sharpe", "retention", "out of sample round trips", "positive folds"),
    *("deflated sharpe", "pbo", "agreement", "holdout"),
)
FEBRUARY = "data/futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2025-02.zip"
MARCH = "data/futures/um/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2025-03.zip"
TWO_MONTHS = ("--from", "2025-02", "--to", "2025-03")


def lines_of_steps(outcome):
    return {line.split()[0]: line for line in outcome.out.splitlines() if line.strip() and line.split()[0] in STEPS}


def read_until(process, step):
    """Wait until a step is done; the one after it begins."""
    for line in process.stdout:
        if line.split()[:1] == [step]:
            return
    raise AssertionError(f"ended before {step} was done")


def test_history_ends_in_a_refusal_that_names_each_gate(researched):
    _, outcome = researched

    assert outcome.code == 0, outcome.err
    assert list(lines_of_steps(outcome)) == list(STEPS)
    assert "Refused." in outcome.out
    assert "16, of which" in outcome.out
    assert [gate for gate in GATES if gate not in outcome.out] == []
    assert "deflated sharpe" in outcome.out.partition("Refused: ")[2]
    assert outcome.err == ""


def test_a_second_run_skips_everything_rewrites_nothing_and_says_the_same(researched):
    home, first = researched
    before = home.stored()
    runs_before = set((home.home / "dagster" / "storage").iterdir())

    second = home.run("research", "--require-champion")

    assert second.code == 10
    assert all("made" not in line and "unchanged, skipped" in line for line in lines_of_steps(second).values())
    assert len(lines_of_steps(second)) == len(STEPS)
    assert home.stored() == before
    assert set((home.home / "dagster" / "storage").iterdir()) == runs_before
    assert second.out[second.out.index("Bars") :] == first.out[first.out.index("Bars") :]


def test_its_round_is_listed_and_says_what_it_proposes(researched):
    home, _ = researched

    listed, shown = home.run("rounds"), home.run("rounds", "show")
    unknown = home.run("rounds", "show", "2020-01_2020-02_00000000")

    assert (listed.code, shown.code) == (0, 0), listed.err + shown.err
    assert "2025-01_2025-05_" in listed.out
    assert "grid" in listed.out
    assert "Proposed after" in shown.out or "proposes no next round" in shown.out
    assert unknown.code == 2
    assert unknown.lines[0].startswith("helios: round: expected one that has run, found 2025-01_2025-05_")


def test_nothing_runs_any_more_once_a_command_has_ended(researched):
    home, _ = researched

    assert home.left_after(30) == {}


def test_one_flipped_byte_stops_the_run_names_the_file_and_stores_nothing_of_it(make_home, archive):
    home = make_home()
    home.archive = copy_archive(archive, home.folder / "archive", ["2025-02", "2025-03"])
    damaged = home.archive / MARCH
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    stopped = home.run("research", *TWO_MONTHS)

    assert (stopped.code, len(stopped.lines)) == (3, 1), stopped.err
    assert MARCH in stopped.err
    assert "Traceback" not in stopped.out
    assert [name for name in home.stored() if "2025-03" in name] == []
    assert f"raw_klines/{BTC}/2025-02.parquet" in " ".join(home.stored())

    shutil.copyfile(archive / MARCH, damaged)
    completed = home.run("ingest", *TWO_MONTHS)

    assert completed.code == 0, completed.err
    assert "1 made, 1 unchanged, skipped" in lines_of_steps(completed)["raw_klines"]
    assert f"raw_klines/{BTC}/2025-03.parquet" in " ".join(home.stored())


def test_a_month_that_is_not_published_is_one_line_and_the_months_before_it_stay(make_home, archive):
    home = make_home()
    home.archive = copy_archive(archive, home.folder / "archive", ["2025-02"])

    stopped = home.run("research", *TWO_MONTHS)

    assert (stopped.code, len(stopped.lines)) == (3, 1), stopped.err
    assert [part for part in ("raw_klines", BTC, "2025-03", "--from and --to") if part not in stopped.err] == []
    assert [name for name in home.stored() if "raw_klines" in name and "2025-03" in name] == []
    assert [name for name in home.stored() if name.endswith(f"/raw_klines/{BTC}/2025-02.parquet")] != []


class Served(SimpleHTTPRequestHandler):
    """The archive over HTTP, without a word on the terminal."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path.lstrip("/"))
        if self.path.lstrip("/") in self.server.broken:
            self.close_connection = True
            return
        super().do_GET()


@pytest.fixture
def serve(archive):
    servers = []

    def start(*broken):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Served, directory=str(archive)))
        server.daemon_threads, server.asked, server.broken = True, [], set(broken)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_download_that_was_cut_goes_on_where_it_was_with_the_next_run(make_home, serve):
    home = make_home()
    server = serve(MARCH)
    home.variables["HELIOS_ARCHIVE_URL"] = f"http://127.0.0.1:{server.server_port}"

    cut = home.run("ingest", *TWO_MONTHS)

    assert (cut.code, len(cut.lines)) == (3, 1), cut.err
    assert MARCH in cut.err
    assert home.stored() == {}

    server.broken.clear()
    server.asked.clear()
    completed = home.run("ingest", *TWO_MONTHS)

    assert completed.code == 0, completed.err
    assert MARCH in server.asked
    assert FEBRUARY not in server.asked
    assert len([name for name in home.stored() if "/raw_klines/" in name and "quarantine" not in name]) == 2


@pytest.mark.parametrize("step", ["raw_open_interest", "funding_features"])
def test_ctrl_c_is_one_line_and_leaves_nothing_running(make_home, archive, step):
    home = make_home()
    home.archive = archive
    with home.started("research") as process:
        read_until(process, step)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)

    (line,) = [line for line in said.splitlines() if not line.startswith("  ")]
    assert line == "helios: stopped. What was finished is kept; run the same command to go on."
    assert process.returncode == 130
    assert home.left_after(30) == {}


def test_a_run_that_is_killed_leaves_nothing_running_and_is_completed_by_the_next(make_home, archive):
    home = make_home(research__workers=2)
    home.archive = archive
    with home.started("research", "--from", "2025-02") as process:
        read_until(process, "funding_features")
        known = {child.pid for child in psutil.Process(process.pid).children(recursive=True)} | set(home.processes())
        stored = home.stored()
        process.kill()

    assert process.pid in known
    assert all(await_end(pid, 60) for pid in known)
    assert home.left_after(60) == {}

    completed = home.run("research", "--from", "2025-02")

    assert completed.code == 0, completed.err
    assert all("4 unchanged, skipped" in lines_of_steps(completed)[step] for step in STEPS[:5])
    assert "made" not in "".join(lines_of_steps(completed)[step] for step in STEPS[:5])
    assert {name: home.stored()[name] for name in stored if "sweep" not in name} == {
        name: written for name, written in stored.items() if "sweep" not in name
    }
    assert "Refused." in completed.out
