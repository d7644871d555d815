"""Every command explains itself, and a mistake is one line."""

import errno
import json
import os
import subprocess
import sys

import pytest
import typer

from helios_pipeline.cli.commands import app, no_place
from tests.helios_home import ROOT, SMALL, write_settings


def all_commands(group, path=()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(all_commands(typer.main.get_command(app)))


@pytest.fixture
def folder(tmp_path):
    write_settings(tmp_path / "helios.toml", SMALL)
    return tmp_path


def test_the_commands_are_those_of_the_readme_and_no_others():
    assert {" ".join(command) for command in COMMANDS} == {
        *("research", "ingest", "bars", "features", "sweep", "walk-forward", "backtest", "demo"),
        *("check bias", "rounds show", "rounds write"),
        *("promote", "rollback", "champion", "keys new", "keys show"),
        *("db migrate", "db run", "db status", "db url", "dagster", "report", "config check"),
        *("live", "halt", "reduce", "resume", "flatten", "status"),
        *(f"simulate {name}" for name in ("binance", "dydx", "fault", "faults", "clear", "kinds")),
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_explains_each_option_and_gives_an_example_that_names_the_command(run_here, command):
    outcome = run_here(*command, "--help")

    assert outcome.code == 0
    assert "Example" in outcome.out
    assert "helios " + " ".join(command) in outcome.out.partition("Example")[2]


@pytest.mark.parametrize(
    "group",
    [(), ("keys",), ("db",), ("config",), ("simulate",), ("check",), ("rounds",)],
    ids=lambda group: " ".join(group) or "helios",
)
def test_a_group_lists_its_commands(run_here, group):
    outcome = run_here(*group, "--help")

    assert outcome.code == 0
    for command in COMMANDS:
        if command[:-1] == group:
            assert command[-1] in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["research", "--from", "2025-13"], 2, ["research.from", "YYYY-MM", "2025-13"]),
        (["research", "--from", "2025-1"], 2, ["research.from", "YYYY-MM", "2025-1"]),
        (["research", "--from", "2025-04", "--to", "2025-02"], 2, ["not later than", "2025-04 to 2025-02"]),
        (["ingest", "--instruments", "DOGEUSDT-PERP.BINANCE"], 2, ["[[instruments]]", "found DOGEUSDT-PERP.BINANCE"]),
        (["ingest", "--instruments", "BTCUSDT"], 2, ["research.instruments", "BTCUSDT"]),
        (["--config", "nowhere.toml", "config", "check"], 2, ["nowhere.toml", "found none", "--config"]),
        (["--config", ".", "config", "check"], 2, ["expected TOML"]),
        (["keys", "show", "nowhere.json"], 5, ["nowhere.json", "helios keys new"]),
        (["keys", "new", "k.json", "--purpose", "everything"], 2, ["operator", "pipeline", "'everything'"]),
        (["promote", "--approve"], 2, ["--network", "--key", "Example"]),
        (["research", "--form", "2025-01"], 2, ["--form", "helios research --help"]),
        (["reserach"], 2, ["reserach", "helios --help"]),
        (["champion", "--network", "devnet"], 2, ["--network", "devnet", "testnet", "mainnet"]),
        (["keys", "new"], 2, ["helios keys new --help"]),
        (["dagster", "--port", "many"], 2, ["--port", "helios dagster --help"]),
        (["status", "--account"], 2, ["--account", "requires an argument", "--help"]),
        (["simulate", "--time-scale", "0"], 2, ["command line: simulated_venues.time_scale", "found 0"]),
        (["simulate", "--time-scale", "7"], 2, ["simulated_venues", "time_scale", "divisor of 60,000", "7"]),
        (["simulate", "dydx", "--block-ms", "1"], 2, ["simulated_venues.block_ms", "50", "1"]),
        (["simulate", "--grpc-port", "70000"], 2, ["simulated_venues.grpc_port", "65535", "70000"]),
        (["simulate", "--instruments", "DOGEUSDT-PERP.BINANCE"], 2, ["BTCUSDT-PERP.BINANCE", "DOGEUSDT"]),
        (["simulate", "--regimes", "boom"], 2, ["boom"]),
        (["simulate", "--replay", "nowhere"], 2, ["nowhere", "found none"]),
        (["simulate", "--replay", "."], 2, ["--replay-days", "folder"]),
        (["simulate", "--replay", ".", "--replay-days", "march"], 2, ["2025-03-01:2025-03-07", "'march'"]),
        (["simulate", "--replay", "helios.toml"], 2, ["one instrument", "--instruments"]),
        (["simulate", "--scenario", "nowhere.toml"], 2, ["nowhere.toml", "found none"]),
        (["simulate", "--scenario", "helios.toml"], 2, ["helios.toml", "[[fault]]"]),
        (["simulate", "--seed", "3", "faults"], 2, ["after faults", "--seed"]),
        (["simulate", "kraken"], 2, ["kraken", "helios simulate --help"]),
        (["simulate", "fault", "earthquake"], 6, ["a kind among", "'earthquake'"]),
        (["simulate", "fault", "http_status"], 6, ["value (HTTP status"]),
        (["simulate", "faults"], 6, ["to run in", "`helios simulate` starts them"]),
        (
            ["simulate", "clear", "--url", "http://127.0.0.1:9"],
            6,
            ["http://127.0.0.1:9", "`helios simulate` starts it"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and str(value[0])[:1] in "rikpcds-" else "",
)
def test_a_mistake_is_one_line_that_says_what_to_do(run_here, folder, arguments, code, parts):
    outcome = run_here(*arguments, folder=folder)

    assert (outcome.code, len(outcome.lines)) == (code, 1), outcome.err
    assert outcome.lines[0].startswith("helios: ")
    assert [part for part in parts if part not in outcome.lines[0]] == []
    assert outcome.lines[0].count("found") <= 1


def test_a_file_that_is_not_toml_is_named_with_the_place_of_the_mistake(run_here, tmp_path):
    (tmp_path / "helios.toml").write_text("[research\n")

    outcome = run_here("config", "check")

    assert (outcome.code, len(outcome.lines)) == (2, 1)
    assert "helios.toml" in outcome.err
    assert "line 1" in outcome.err


INTERRUPTED_IMPORT = """
import os, signal, sys

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Impatient())
from helios_pipeline.cli import main
main()
"""


def test_ctrl_c_is_one_line_while_the_command_is_still_imported(tmp_path):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "helios: stopped. What was finished is kept; run the same command to go on.\n"


def test_debug_shows_the_traceback_of_a_mistake(make_home):
    outcome = make_home().run("--debug", "--config", "nowhere.toml", "config", "check")

    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "SettingsError" in outcome.lines[-1]


def test_settings_are_shown_without_secrets(run_here, folder):
    url = "postgresql://helios:a-secret@127.0.0.1:5432/helios?password=another-secret"

    outcome = run_here("config", "check", folder=folder, HELIOS_DATABASE_URL=url)
    shown = json.loads(outcome.out)

    assert outcome.code == 0
    assert "secret" not in outcome.out + outcome.err
    assert shown["database"]["url"] == "postgresql://helios:***@127.0.0.1:5432/helios"
    assert shown["research"]["instruments"] == SMALL["research.instruments"]


def test_the_shipped_settings_are_allowed(run_here):
    outcome = run_here("config", "check", folder=ROOT)

    assert outcome.code == 0
    assert json.loads(outcome.out)["database"]["url"] == "embedded"


def test_a_database_that_does_not_answer_is_one_line_without_its_password(run_here, folder):
    outcome = run_here("champion", folder=folder, HELIOS_DATABASE_URL="postgresql://u:a-secret@127.0.0.1:1/x")

    assert (outcome.code, len(outcome.lines)) == (4, 1)
    assert "127.0.0.1:1" in outcome.err
    assert "a-secret" not in outcome.err


def test_the_version_is_that_of_the_distribution(run_here):
    from importlib.metadata import version

    assert run_here("--version").out.strip() == f"helios {version('helios')}"


def test_a_key_file_is_private_never_replaced_and_shows_its_public_part(run_here, tmp_path):
    made = run_here("keys", "new", "operator.json")
    shown = run_here("keys", "show", "operator.json")
    again = run_here("keys", "new", "operator.json")

    public = made.out.splitlines()[0]
    assert public.startswith("operator:ed25519:")
    assert (tmp_path / "operator.json").stat().st_mode & 0o777 == 0o600
    assert shown.out.strip() == public
    assert public in shown.out
    assert (again.code, len(again.lines)) == (5, 1)
    assert "operator.json" in again.err


@pytest.mark.parametrize("place", [None, "/srv/helios/lake/x.parquet"])
def test_a_full_disk_says_where_and_what_to_do(place):
    line = no_place(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place))

    assert "No space left on device" in line
    assert "HELIOS_HOME" in line
    assert line.startswith(f"{place}: " if place else "expected")
