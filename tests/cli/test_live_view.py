"""What `helios live` shows at a terminal, and over a pipe."""

import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from helios_pipeline.cli.live_audience import LineFollower, LogFile, PlainFollower, line_of
from helios_pipeline.cli.live_environment import engine_environment, watchdog_environment
from helios_pipeline.cli.live_view import view
from helios_pipeline.settings import load_settings
from live_engine.heartbeat import HEARTBEAT, write_heartbeat
from live_engine.service_manager import is_service
from tests.helios_home import ROOT
from tests.live_engine.statuses import NOW, market, status, stream

WIDTH = 120
SHOWN = status(
    markets=(
        market(),
        market(
            "ETH-USD-PERP.DYDX", quantity=Decimal(0), entry_price=None, stop_price=None, signal=-0.31, outcome="flat"
        ),
        market("SOL-USD-PERP.DYDX", quantity=Decimal("12.5"), signal=None, outcome="hold", unknown_orders=1),
    ),
    streams=(
        stream(age_seconds=0.42),
        stream("klines", age_seconds=12.0, limit_seconds=90.0),
        stream("quotes", "BTC-USD-PERP.DYDX", age_seconds=31.25, limit_seconds=30.0),
        stream("mark", "BTC-USD-PERP.DYDX", age_seconds=None, limit_seconds=30.0),
        stream("blocks", "", age_seconds=1.25, limit_seconds=15.0),
    ),
)


@pytest.fixture
def settings():
    return load_settings(ROOT / "helios.toml", {})


def rendered(shown, *, width=WIDTH, styles=False):
    console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
    console.print(shown)
    return console.export_text(styles=styles)


def test_everything_that_matters_is_at_one_glance():
    text = rendered(view(SHOWN, NOW, (), "Trading may begin."))

    for part in ("-0.25", "61,000.5", "63,000", "+2.62", "+2.25", "enter", "flat", "-0.31", "11:45:00", "100,002.62"):
        assert part in text
    for part in ("DYDX-paper on paper", "ACTIVE", "trader runs", "champion abababababab", "start 3", "block 12,345"):
        assert part in text
    assert "hold (1 order unknown)" in text
    assert "agreed with the venue 12 s ago" in text
    assert "Ctrl-C stops in good order; helios halt, reduce, flatten." in text


def test_stale_streams_are_red_and_what_never_came_is_none():
    styled = rendered(view(SHOWN, NOW, (), ""), styles=True)

    assert "\x1b[31m31.2\x1b[0m" in styled
    assert "\x1b[31mnone\x1b[0m" in styled
    assert "\x1b[31m0.4" not in styled


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mode": "HALTED", "mode_who": "anna", "mode_why": "[storm]"}, "HALTED by anna: [storm]"),
        ({"blocked": ("daily loss of 5 %",)}, "entries are refused: daily loss of 5 %"),
        ({"differences": ("fill 7 is missing",)}, "differs: fill 7 is missing"),
        ({"champion": None, "champion_note": "none promoted"}, "champion: none promoted"),
        ({"trader_running": False}, "trader does not run"),
        ({"told_at": NOW - timedelta(seconds=30)}, "heartbeat 30 s old"),
        ({"reconciled_at": None}, "agreed with the venue never"),
        ({"day_pnl": Decimal("-12.5")}, "today -12.50"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(changes, says):
    assert says in " ".join(rendered(view(status(**changes), NOW, (), "")).split())


def test_before_the_first_heartbeat_there_is_what_helios_live_itself_says():
    assert rendered(view(None, NOW, (), "Engine started.")).strip() == "Engine started."


def test_warnings_of_late_are_one_line_each_however_long_and_whatever_they_hold():
    events = [
        {
            "at": "2026-03-02T11:59:58.123+00:00",
            "level": "warning",
            "process": "engine",
            "event": "order\nrefused",
            "why": "[band]",
        },
        {"at": "2026-03-02T11:59:59.123+00:00", "level": "error", "process": "watchdog", "event": "x" * 500},
        {"level": "error"},
    ]

    lines = rendered(view(status(), NOW, [json.dumps(each) for each in events], "")).splitlines()

    assert "11:59:58 engine: order refused: [band]" in [line.rstrip() for line in lines]
    assert all(len(line) <= WIDTH for line in lines)


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        ("60990.123456789", "60,990.12"),
        ("63000", "63,000"),
        ("63000.50", "63,000.5"),
        ("3.2109876", "3.21099"),
        ("0.00123456789", "0.00123457"),
        ("1E+3", "1,000"),
    ],
)
def test_prices_are_rounded_as_a_person_reads_them(price, shown):
    cells = rendered(view(status(markets=(market(mark_price=Decimal(price)),)), NOW, (), "")).split()

    assert shown in cells


def test_what_is_counted_is_said_in_words():
    counters = {"Fill": 3, "snapshots": 1, "partially_filled": 2, "filled": 1, "refused_price_band": 4, "denied": 0}

    text = " ".join(rendered(view(status(counters=counters), NOW, (), ""), width=200).split())

    assert "1 filled, 2 partially filled, 4 refused by price band Ctrl-C" in text


def test_a_change_of_mode_names_mode_who_and_why():
    event = {
        "at": "2026-03-02T11:59:58.123+00:00",
        "level": "warning",
        "process": "engine",
        "event": "mode_changed",
        "mode": "HALTED",
        "who": "anna",
        "why": "a drill",
    }

    assert "11:59:58 engine: mode changed to HALTED by anna: a drill" in rendered(
        view(status(), NOW, [json.dumps(event)], "")
    )


@pytest.mark.parametrize(("champion", "is_said"), [("ab" * 32, False), (None, True)])
def test_it_is_said_when_trading_may_begin_without_a_champion(tmp_path, capsys, champion, is_said):
    follower = LineFollower(tmp_path, LogFile(tmp_path / "logs"))
    follower.ready({"account": "DYDX-paper", "metrics": "http://127.0.0.1:8604/metrics", "champion": champion})
    follower.logs.close()

    said = capsys.readouterr().err
    assert said.startswith("Trading may begin: DYDX-paper, ")
    assert ("There is no champion" in said) is is_said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_terminals_of_every_width(width):
    assert all(len(line) <= width for line in rendered(view(SHOWN, NOW, (), ""), width=width).splitlines())


def test_over_a_pipe_there_is_a_line_whenever_something_changes(tmp_path, capsys):
    follower = LineFollower(tmp_path, LogFile(tmp_path / "logs"))
    for changes in ({}, {"sequence": 813}, {"mode": "REDUCING"}, {"mode": "REDUCING", "sequence": 900}):
        write_heartbeat(tmp_path / HEARTBEAT, status(**changes))
        follower.see(follower._status())

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "12:00:00 DYDX-paper: ACTIVE, champion abababababab, -0.25 BTC-USD-PERP.DYDX, equity 100,002.62"
    )
    assert "REDUCING" in lines[1]
    follower.logs.close()


def test_plain_events_alone_are_on_standard_output(tmp_path, capsys):
    event = json.dumps({"event": "trading", "process": "engine"})
    write_heartbeat(tmp_path / HEARTBEAT, status())
    follower = PlainFollower(tmp_path, LogFile(tmp_path / "logs"))
    follower.tell("Engine of DYDX-paper started.")
    follower.log(event)
    follower.look()
    follower.ready({"account": "DYDX-paper", "champion": None})
    follower.logs.close()

    said = capsys.readouterr()
    assert said.out == f"{event}\n"
    assert [line.split(" ")[0] for line in said.err.splitlines()] == ["Engine", "Trading"]
    assert (tmp_path / "logs" / "live.jsonl").read_text() == f"{event}\n"


def test_a_line_says_why_entries_are_refused_and_that_nothing_runs():
    said = line_of(status(blocked=("trades are stale",), trader_running=False, champion=None, markets=()))

    assert said.endswith(
        "ACTIVE, trader does not run, no champion, flat, equity 100,002.62; entries are refused: trades are stale"
    )


def test_each_process_gets_what_it_needs_and_no_secret_besides(settings, tmp_path):
    everything = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.com:3128",
        "HELIOS_BINANCE_URL": "http://127.0.0.1:8601",
        "HELIOS_DYDX_KEY_FILE": "/etc/helios/key",
        "HELIOS_WEBHOOK_URL_FILE": "/etc/helios/url",
        "HELIOS_WEBHOOK_SECRET": "shared",
        "HELIOS_DATABASE_URL": "postgresql://owner:pw@db/helios",
        "DAGSTER_POSTGRES_URL": "postgresql://dagster:pw@db/helios",
        "AWS_SECRET_ACCESS_KEY": "aws",
        "ANTHROPIC_API_KEY": "sk",
        "NOTIFY_SOCKET": "/run/notify",
    }
    config = tmp_path / "helios.toml"

    engine = engine_environment(everything, settings, config, "postgresql://helios_live:pw@db/helios")
    watchdog = watchdog_environment(everything, settings, config)

    both = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.com:3128",
        "HELIOS_BINANCE_URL": "http://127.0.0.1:8601",
        "HELIOS_CONFIG": str(config),
        "HELIOS_HOME": str(settings.home),
        "HELIOS_LIVE_NETWORK": "paper",
        "PYTHONUNBUFFERED": "1",
    }
    own = {
        "HELIOS_DYDX_KEY_FILE": "/etc/helios/key",
        "HELIOS_LIVE_DATABASE_URL": "postgresql://helios_live:pw@db/helios",
    }
    assert engine == both | own
    assert watchdog == both | {"HELIOS_WEBHOOK_URL_FILE": "/etc/helios/url", "HELIOS_WEBHOOK_SECRET": "shared"}


@pytest.mark.parametrize(
    ("variables", "service"),
    [
        ({}, False),
        ({"NOTIFY_SOCKET": "/run/notify"}, True),
        ({"INVOCATION_ID": "1", "SYSTEMD_EXEC_PID": "4711"}, True),
        ({"INVOCATION_ID": "1", "SYSTEMD_EXEC_PID": "4710"}, False),  # a shell in a desktop's terminal
        ({"INVOCATION_ID": "1"}, True),  # systemd before 248
    ],
)
def test_a_service_is_told_from_a_shell_that_systemd_started_long_ago(variables, service):
    assert is_service(variables, 4711) is service
