"""Checks across partitions, run by Dagster on a lake of three months, against a venue on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import dagster as dg
import polars as pl
import pytest

from assets.bars import BARS_15M
from assets.checks import CROSS_PARTITION_CHECKS
from assets.features import FUNDING_FEATURES
from assets.market_data import RAW_FUNDING_RATES, RAW_KLINES, RAW_OPEN_INTEREST
from assets.research import Research
from helios_pipeline.adapters.lake.store import Lake
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings
from tests.helios_home import BTC, SMALL, write_settings, write_simulated_archive

MONTHS = ["2025-01", "2025-02", "2025-03"]
NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Research:
    """Three months of simulated history, made as Dagster makes them."""
    root = tmp_path_factory.mktemp("checks")
    write_simulated_archive(root / "archive", edge=0.0, months=(MONTHS[0], MONTHS[-1]))
    own = {"data.archive_url": (root / "archive").as_uri(), "data.rest_url": NOBODY, "data.attempts": 1}
    write_settings(root / "helios.toml", SMALL | own)
    research = replace(build_research(load_settings(root / "helios.toml", {}), database_url=None), has_tail=False)
    for asset in (RAW_KLINES, RAW_FUNDING_RATES, RAW_OPEN_INTEREST, BARS_15M, FUNDING_FEATURES):
        plans = asset.plan(research, [(BTC, month) for month in MONTHS])
        asset.prepare(research, plans)
        for month, plan in plans.items():
            assert asset.replace(research, month, plan).stored
    return research


@pytest.fixture
def restored(made: Research) -> Iterator[Research]:
    """The same lake; what a test changes is undone."""
    files = {path: path.read_bytes() for path in Path(made.lake.root.path).rglob("*.parquet")}
    yield made
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def run(research: Research, name: str) -> dg.AssetCheckEvaluation:
    """One check's evaluation by Dagster."""
    (key,) = (key for check in CROSS_PARTITION_CHECKS for key in check.check_keys if key.name == name)
    job = dg.define_asset_job("judge", selection=dg.AssetSelection.checks(key))
    definitions = dg.Definitions(asset_checks=CROSS_PARTITION_CHECKS, jobs=[job], resources={"research": research})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("judge").execute_in_process(instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def table(evaluation: dg.AssetCheckEvaluation, name: str) -> list[dict[str, object]]:
    return [dict(record.data) for record in evaluation.metadata[name].records]


def rewrite(research: Research, asset: str, month: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change rows of a stored month and nothing else of it."""
    where = {"instrument": BTC, "month": month}
    version, facts = research.lake.version(asset, **where), research.lake.facts(asset, **where)
    research.lake.replace(asset, change(research.lake.read(asset, **where)), **where, version=version, facts=facts)


def test_every_check_is_described_and_stops_nothing() -> None:
    specs = [spec for check in CROSS_PARTITION_CHECKS for spec in check.check_specs]

    assert [f"{spec.asset_key.to_user_string()}:{spec.name}" for spec in specs] == [
        "bars_15m:gap_map",
        "bars_15m:second_source",
        "bars_15m:minutes_against_15m",
        "funding_features:no_look_ahead",
        "funding_features:independent_implementation",
    ]
    assert [spec.name for spec in specs if spec.blocking or not spec.description] == []


@pytest.mark.parametrize(
    "name", ["gap_map", "second_source", "minutes_against_15m", "no_look_ahead", "independent_implementation"]
)
def test_what_is_stored_as_it_was_made_passes(made: Research, name: str) -> None:
    assert run(made, name).passed


@pytest.mark.parametrize(
    "name", ["gap_map", "second_source", "minutes_against_15m", "no_look_ahead", "independent_implementation"]
)
def test_where_nothing_is_stored_a_check_says_that_it_looked_at_nothing(made: Research, tmp_path, name: str) -> None:
    evaluation = run(replace(made, lake=Lake(str(tmp_path)), has_tail=True), name)

    assert evaluation.passed
    assert " 0 " in f" {evaluation.description}"


def test_a_month_that_is_missing_between_two_others_is_named(restored: Research) -> None:
    Path(restored.lake.root.path, "bars_15m", BTC, f"{MONTHS[1]}.parquet").unlink()

    evaluation = run(restored, "gap_map")

    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert table(evaluation, "missing months") == [{"instrument": BTC, "month": MONTHS[1]}]
    assert table(evaluation, "coverage")[0]["months"] == 2


def test_gaps_are_mapped_with_their_cause(restored: Research) -> None:
    where = {"instrument": BTC, "month": MONTHS[0]}
    first, last = "2025-01-05T10:00:00+00:00", "2025-01-05T10:45:00+00:00"
    gap = {"first": first, "last": last, "bars": 4, "cause": "no_trades"}
    facts = restored.lake.facts("bars_15m", **where) | {"gaps": [gap]}
    bars = restored.lake.read("bars_15m", **where)
    restored.lake.replace("bars_15m", bars, **where, version="x", facts=facts)

    evaluation = run(restored, "gap_map")

    assert evaluation.passed
    assert table(evaluation, "gaps") == [
        {
            "instrument": BTC,
            "first": "2025-01-05 10:00:00",
            "last": "2025-01-05 10:45:00",
            "bars": 4,
            "cause": "no_trades",
        }
    ]


def test_minutes_that_make_other_bars_than_the_venues_are_shown(restored: Research) -> None:
    where = {"instrument": BTC, "month": MONTHS[0]}
    at = "2025-01-05T10:00:00+00:00"
    difference = {"opened_at": at, "column": "high", "from_1m": 101.0, "from_15m": 101.5}
    facts = restored.lake.facts("bars_15m", **where)
    facts["cross_check"] |= {"different": 1, "differences": [difference]}
    bars = restored.lake.read("bars_15m", **where)
    restored.lake.replace("bars_15m", bars, **where, version="x", facts=facts)

    evaluation = run(restored, "minutes_against_15m")

    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert table(evaluation, "differences") == [{"instrument": BTC} | difference | {"opened_at": "2025-01-05 10:00:00"}]


def test_a_feature_that_knew_the_next_bar_is_found(restored: Research) -> None:
    for month in MONTHS:
        rewrite(restored, "funding_features", month, lambda frame: frame.with_columns(pl.col("atr").shift(-1)))

    evaluation = run(restored, "no_look_ahead")

    assert not evaluation.passed
    assert {row["column"] for row in table(evaluation, "changes")} == {"atr"}
    assert len(table(evaluation, "cuts")) == 2 * 4


def test_a_feature_that_another_implementation_has_otherwise_is_found(restored: Research) -> None:
    wrong = pl.col("volatility") * (1 + 1e-6)
    for month in MONTHS:
        rewrite(restored, "funding_features", month, lambda frame: frame.with_columns(wrong))

    evaluation = run(restored, "independent_implementation")

    assert not evaluation.passed
    assert {row["column"] for row in table(evaluation, "departures")} == {"volatility"}


def test_months_that_are_to_be_made_again_are_not_recomputed(restored: Research) -> None:
    where = {"instrument": BTC, "month": MONTHS[-1]}
    frame = restored.lake.read("funding_features", **where)
    restored.lake.replace("funding_features", frame.with_columns(atr=1.0), **where, version="stale", facts={})

    evaluation = run(restored, "no_look_ahead")

    assert evaluation.passed
    assert {str(row["known_until"])[:7] for row in table(evaluation, "cuts")} == set(MONTHS[:2])


def test_a_market_without_rest_has_no_second_source(made: Research) -> None:
    evaluation = run(made, "second_source")

    assert evaluation.passed
    assert evaluation.description.startswith("There is no second source: ")
    assert made.market_data in evaluation.description


class Venue(BaseHTTPRequestHandler):
    """Binance's klines, out of stored bars."""

    bars: pl.DataFrame

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        answer = {"serverTime": 4_000_000_000_000} if parts.path.endswith("/time") else self.klines(parts.query)
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def klines(self, query: str) -> list[list[object]]:
        asked = dict(parse_qsl(query))
        opened = pl.col("opened_at").dt.epoch("ms")
        inside = self.bars.filter(opened.is_between(int(asked["startTime"]), int(asked["endTime"])))
        rows = inside.select(opened, "open", "high", "low", "close", "volume").rows()
        return [[at, *map(str, rest), at + 899_999, "1", 1, "0", "0", "0"] for at, *rest in rows]


@pytest.fixture
def venue(made: Research, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[pl.DataFrame], Research]]:
    """A research whose venue serves the given bars."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Serving", (Venue,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def serving(bars: pl.DataFrame) -> Research:
        handler.bars = bars
        rest = made.settings.data.model_copy(update={"rest_url": f"http://127.0.0.1:{server.server_address[1]}"})
        other = build_research(made.settings.model_copy(update={"data": rest}), database_url=None)
        return replace(other, has_tail=True)

    yield serving
    server.shutdown()
    thread.join()
    server.server_close()


def stored_bars(research: Research) -> pl.DataFrame:
    return pl.concat(research.lake.read("bars_15m", instrument=BTC, month=month) for month in MONTHS)


def test_stored_bars_equal_what_the_venue_says_now(made: Research, venue) -> None:
    evaluation = run(venue(stored_bars(made)), "second_source")

    assert evaluation.passed
    assert evaluation.description == "192 bars of 2 days compared, 0 values differ."
    assert [row["compared"] for row in table(evaluation, "days")] == [96, 96]


def test_days_that_are_not_stored_to_their_end_are_not_compared(restored: Research, venue) -> None:
    bars = stored_bars(restored)
    for month in MONTHS[:2]:
        Path(restored.lake.root.path, "bars_15m", BTC, f"{month}.parquet").unlink()
    where = {"instrument": BTC, "month": MONTHS[2]}
    begun = restored.lake.read("bars_15m", **where).head(96 + 40)
    restored.lake.replace("bars_15m", begun, **where, version="x", facts={"bars": begun.height, "gaps": []})

    evaluation = run(venue(bars), "second_source")

    assert evaluation.passed
    assert table(evaluation, "days") == [{"instrument": BTC, "day": "2025-03-01", "compared": 96}]


def test_a_price_that_the_venue_has_otherwise_is_shown(made: Research, venue) -> None:
    research = venue(stored_bars(made).with_columns(pl.col("high") + 0.1))

    evaluation = run(research, "second_source")

    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    rows = table(evaluation, "disagreements")
    assert {(row["instrument"], row["column"]) for row in rows} == {(BTC, "high")}
    assert all(row["second_source"] > row["stored"] for row in rows)


def test_a_venue_that_does_not_answer_is_a_warning_and_no_pass(made: Research) -> None:
    evaluation = run(replace(made, has_tail=True), "second_source")

    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "127.0.0.1:9" in evaluation.description
