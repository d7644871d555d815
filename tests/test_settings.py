"""The settings file and the environment."""

from decimal import Decimal
from pathlib import Path

import pytest

from helios_pipeline.core.errors import SettingsError
from helios_pipeline.settings import load_settings

SHIPPED = Path(__file__).resolve().parents[1] / "helios.toml"


def edited(tmp_path, old, new):
    text = SHIPPED.read_text()
    assert old in text
    path = tmp_path / "helios.toml"
    path.write_text(text.replace(old, new))
    return path


def test_the_shipped_file_is_valid_and_its_numbers_are_exact():
    settings = load_settings(SHIPPED, {})

    assert settings.costs.fee_fraction == Decimal("0.0005")
    assert [i.instrument_id for i in settings.instrument_records] == ["BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"]
    assert settings.instrument_records[0].quanta_per_tick_lot == 10_000
    assert settings.home == SHIPPED.parent / ".helios"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("fee_fraction = 0.0005", "fee_fraction = -1", ["costs.fee_fraction", "greater than or equal to 0", "-1"]),
        ("max_open = 2", "", ["limits.max_open", "expected a value", "none"]),
        ("max_open = 2", "max_opne = 2", ["limits.max_opne", "unknown key"]),
        ('from = "2024-01"', 'from = "Jan 2024"', ["research.from", "YYYY-MM", "Jan 2024"]),
        ('to = "2025-06"', 'to = "2023-06"', ["research", "not later than", "2024-01 to 2023-06"]),
        ("lookback_bars = [96,", f"lookback_bars = [{10**19},", ["grid.lookback_bars.0", "1000000", str(10**19)]),
        ("sets = 2_000 ", "sets = 2_000_000_000 ", ["search.sets", "10000000", "2000000000"]),
        ("seed = 1\n", "seed = 4_294_967_296\n", ["search.seed", "less than 4294967296", "found 4294967296"]),
        ("purge_bars = 480", "purge_bars = 1", ["purge_bars", "at least the longest", "480", "found 1"]),
        ('archive_url = "https://', 'archive_url = "ftp://', ["data.archive_url", "file://", "ftp://"]),
        ('instruments = ["BTCUSDT', 'instruments = ["XYZUSDT', ["research.instruments", "XYZUSDT-PERP.BINANCE"]),
        (
            'daily_refresh_cron = "20 0 * * *"',
            'daily_refresh_cron = "99 0 * * *"',
            ["daily_refresh_cron", "cron", "99"],
        ),
        ('daily_refresh_cron = "20 0 * * *"', 'daily_refresh_cron = "20 0 * *"', ["daily_refresh_cron", "five fields"]),
        ('daily_refresh_cron = "20 0 * * *"', 'daily_refresh_cron = "20 0 0 * *"', ["daily_refresh_cron", "cron"]),
        ("[costs]", "[costs", ["expected TOML"]),
        (
            'trade = "ETH-USD-PERP.DYDX"',
            'trade = "ETH-USD"',
            ["live_instruments.1.trade", "an id like BTC-USD-PERP.DYDX, found 'ETH-USD'"],
        ),
        (
            'signal = "ETHUSDT-PERP.BINANCE"',
            'signal = "ethusdt"',
            ["live_instruments.1.signal", "an id like BTCUSDT-PERP.BINANCE, found 'ethusdt'"],
        ),
        (
            'trade = "ETH-USD-PERP.DYDX"',
            'trade = "BTC-USD-PERP.DYDX"',
            ["live_instruments.trade", "each instrument once", "found BTC-USD-PERP.DYDX more than once"],
        ),
        (
            'signal = "ETHUSDT-PERP.BINANCE"',
            'signal = "BTCUSDT-PERP.BINANCE"',
            ["live_instruments.signal", "each instrument once", "found BTCUSDT-PERP.BINANCE more than once"],
        ),
    ],
)
def test_a_wrong_setting_names_key_value_and_what_is_allowed(tmp_path, old, new, parts):
    path = edited(tmp_path, old, new)

    with pytest.raises(SettingsError) as error:
        load_settings(path, {})

    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("cron", ["*/15 0-6 1,15 * 1-5", "0 0 29 2 *", "5,35 */2 * 1-12/3 7"])
def test_a_cron_expression_may_hold_lists_ranges_and_steps(tmp_path, cron):
    path = edited(tmp_path, 'daily_refresh_cron = "20 0 * * *"', f'daily_refresh_cron = "{cron}"')

    assert load_settings(path, {}).dagster.daily_refresh_cron == cron


ACCEPTED = {"instrument": "BTCUSDT-PERP.BINANCE", "month": "2024-05", "check": "bars_15m:complete", "reason": "seen"}


def test_a_month_is_accepted_for_one_check_alone():
    checks = load_settings(SHIPPED, {}, {("checks", "accepted"): [ACCEPTED]}).checks

    assert checks.acceptance("bars_15m:complete", instrument=ACCEPTED["instrument"], month="2024-05") == "seen"
    assert checks.acceptance("bars_15m:complete", instrument=ACCEPTED["instrument"], month="2024-06") is None
    assert checks.acceptance("bars_15m:sound_prices", instrument=ACCEPTED["instrument"], month="2024-05") is None
    assert checks.acceptance("bars_15m:complete", instrument="ETHUSDT-PERP.BINANCE", month="2024-05") is None


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"check": "bars_15m:compleat"}, ["checks.accepted.0.check", "bars_15m:complete", "'bars_15m:compleat'"]),
        ({"check": "bars_15m:schema"}, ["checks.accepted.0.check", "one of the checks", "'bars_15m:schema'"]),
        ({"instrument": "XYZUSDT-PERP.BINANCE"}, ["checks.accepted", "BTCUSDT-PERP", "found XYZUSDT-PERP.BINANCE"]),
        ({"month": "May 2024"}, ["checks.accepted.0.month", "YYYY-MM"]),
        ({"reason": ""}, ["checks.accepted.0.reason", "at least 1 character"]),
    ],
)
def test_a_wrong_acceptance_is_refused(changes, parts):
    with pytest.raises(SettingsError) as error:
        load_settings(SHIPPED, {}, {("checks", "accepted"): [ACCEPTED | changes]})

    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("key", ["archive_url", "rest_url"])
@pytest.mark.parametrize("address", ["https://user:hunter2@mirror/x", "ftp://hunter2@mirror", "https://m/?k=hunter2"])
def test_an_address_that_holds_a_secret_is_refused_without_repeating_it(key, address):
    with pytest.raises(SettingsError, match=f"data.{key}: expected an address without") as error:
        load_settings(SHIPPED, {}, {("data", key): address})

    assert "hunter2" not in str(error.value)


def test_what_is_wrong_in_the_file_is_not_hidden_by_an_option_or_the_environment(tmp_path):
    path = edited(tmp_path, 'network = "paper"', 'network = "demo"')

    with pytest.raises(SettingsError, match=r"^helios\.toml: live\.network: .*found 'demo'"):
        load_settings(path, {"HELIOS_LIVE_NETWORK": "testnet"}, {("live", "network"): "paper"})


def test_a_wrong_setting_names_where_it_was_set():
    with pytest.raises(SettingsError, match=r"^environment: live\.network: .*found 'demo'"):
        load_settings(SHIPPED, {"HELIOS_LIVE_NETWORK": "demo"}, {("live", "network"): "paper"})
    with pytest.raises(SettingsError, match=r"^command line: simulated_venues\.time_scale: .*found 0"):
        load_settings(SHIPPED, {"HELIOS_LIVE_NETWORK": "testnet"}, {("simulated_venues", "time_scale"): 0})


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SettingsError, match="--config"):
        load_settings(tmp_path / "helios.toml", {})


def test_command_line_wins_over_environment_which_wins_over_the_file():
    environment = {"HELIOS_ARCHIVE_URL": "file:///from/environment", "HELIOS_HOME": "/elsewhere"}

    plain = load_settings(SHIPPED, environment)
    overridden = load_settings(SHIPPED, environment, {("data", "archive_url"): "file:///from/option/"})

    assert plain.data.archive_url == "file:///from/environment"
    assert plain.home == Path("/elsewhere")
    assert overridden.data.archive_url == "file:///from/option"


def test_secrets_are_never_shown():
    url = "postgresql://quant:s3cret@db.example:5432/postgres?password=also"

    settings = load_settings(SHIPPED, {"HELIOS_DATABASE_URL": url})

    assert "s3cret" not in str(settings.shown())
    assert "also" not in str(settings.shown())
    assert "s3cret" not in repr(settings)
    assert settings.shown()["database"]["url"] == "postgresql://quant:***@db.example:5432/postgres"
