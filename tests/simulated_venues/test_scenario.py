import asyncio
import time
from pathlib import Path

import pytest

from helios_pipeline.core.errors import SettingsError
from simulated_venues.faults import Fault, Faults
from simulated_venues.scenario import Entry, Scenario, play, read_scenario, scenario_of
from tests.helios_home import ROOT

SHIPPED = sorted((ROOT / "docs" / "scenarios").glob("*.toml"))


@pytest.fixture
def write(tmp_path):
    def made(text) -> Path:
        path = tmp_path / "bad.toml"
        path.write_text(text)
        return path

    return made


def test_a_file_gives_its_faults_in_order_of_time(write):
    path = write(
        """
        [[fault]]
        at = 12.5
        venue = "binance"
        kind = "http_status"
        where = "/fapi/v1/*"
        value = 429
        seconds = 5

        [[fault]]
        at = 3
        venue = "dydx"
        kind = "swallow_transaction"
        share = 0.5
        count = 2
        """
    )

    scenario = read_scenario(path)

    assert scenario.entries == (
        Entry(at=3.0, venue="dydx", fault=Fault(kind="swallow_transaction", share=0.5, count=2)),
        Entry(
            at=12.5,
            venue="binance",
            fault=Fault(kind="http_status", where="/fapi/v1/*", value=429.0, seconds=5.0),
        ),
    )
    assert scenario.seconds == 12.5
    assert scenario.of("dydx").entries == scenario.entries[:1]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_scenarios_can_be_carried_out(path):
    scenario = read_scenario(path)

    assert len(scenario.entries) > 5
    assert {entry.venue for entry in scenario.entries} == {"binance", "dydx"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_scenario_survives_its_way_to_a_process(path):
    scenario = read_scenario(path)

    assert scenario_of(scenario.rows(), "again") == scenario


GOOD = 'at = 1\nvenue = "binance"\nkind = "mute"\n'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["[[fault]]", "no [[fault]]"]),
        ("[fault]\nat = 1", ["[[fault]]"]),
        ("[[fault]]\n" + GOOD + "[[other]]\na = 1", ["nothing else", "other"]),
        ("[[fault]]\n" + GOOD + "[[fault]]\nat = 1", ["fault 2", "venue, kind", "only at"]),
        ("[[fault]]\n" + GOOD + "wher = '*'", ["fault 1", "keys among", "found wher"]),
        ("[[fault]]\n" + GOOD.replace("1", "-1"), ["fault 1", "at ≥ 0", "-1"]),
        ("[[fault]]\n" + GOOD.replace("1", "nan"), ["fault 1", "at", "a number", "nan"]),
        ("[[fault]]\n" + GOOD.replace("1", "'soon'"), ["at to be a number", "'soon'"]),
        ("[[fault]]\n" + GOOD.replace("binance", "kraken"), ["binance or dydx", "'kraken'"]),
        ("[[fault]]\n" + GOOD.replace("mute", "earthquake"), ["a kind among", "'earthquake'"]),
        ("[[fault]]\n" + GOOD.replace("mute", "halt_chain"), ["a kind that binance knows", "found halt_chain"]),
        ("[[fault]]\n" + GOOD.replace("mute", "slow_response"), ["fault 1", "value (milliseconds)"]),
        ("[[fault]]\n" + GOOD + "count = 1.5", ["count to be a whole number", "1.5"]),
        ("[[fault]]\n" + GOOD + "share = 2", ["0 < share ≤ 1"]),
        ("[[fault]]\n" + GOOD + "seconds = true", ["seconds to be a number", "True"]),
        ("[[fault", ["expected TOML", "bad.toml"]),
    ],
)
def test_a_mistake_names_the_entry_what_was_expected_and_what_was_found(write, text, parts):
    with pytest.raises(SettingsError) as caught:
        read_scenario(write(text))

    said = str(caught.value)
    assert [part for part in parts if part not in said] == []
    assert "\n" not in said


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"expected a file at .*nowhere\.toml, found none"):
        read_scenario(tmp_path / "nowhere.toml")


def test_faults_start_at_their_times():
    scenario = Scenario(
        entries=tuple(
            Entry(at=at, venue="binance", fault=Fault(kind=kind))
            for at, kind in ((0.0, "mute"), (0.15, "drop_messages"), (0.15, "disconnect"), (0.3, "mute"))
        )
    )
    seen, began = [], time.monotonic()
    faults = Faults("binance", listeners=[lambda fault: seen.append((time.monotonic() - began, fault.kind))])

    asyncio.run(play(scenario, faults))

    assert [kind for _, kind in seen] == ["mute", "drop_messages", "disconnect", "mute"]
    assert all(at >= entry.at - 0.005 for (at, _), entry in zip(seen, scenario.entries, strict=True))
