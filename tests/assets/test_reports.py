"""Reports as assets, made of a small round from end to end."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import dagster as dg
import polars as pl
import psycopg
import pytest

from assets import backtest
from assets.backtest import backtest_report
from assets.pictures import picture, rows_table
from assets.reports import champion_report, data_quality_report, report_store, round_report
from assets.research import Research
from assets.round_record import gather_round
from assets.rounds import plan_round
from assets.search_statistics import count_trials, price_of_proposal
from assets.sweep import best_sets, load_round, sweep_results
from helios_pipeline.adapters.postgres.promotions import PromotionStore
from helios_pipeline.core.errors import SimulationError
from helios_pipeline.definitions import build_research
from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.reports.figures import draw_funding
from helios_pipeline.reports.page import Picture, Table
from helios_pipeline.reports.round_page import round_page
from helios_pipeline.settings import load_settings
from helios_pipeline.sweep.grid import Grid
from jobs.research import ALL_ASSETS, MONTHLY, run_steps
from tests.conftest import renamed, server_url
from tests.helios_home import MONTHS, SMALL, write_settings, write_simulated_archive

REPORTS = [round_report, data_quality_report, champion_report]
EVERYTHING = [*ALL_ASSETS, *(each for each in REPORTS if each not in ALL_ASSETS)]
PNG = b"\x89PNG"
SHOWN_WITHOUT_A_CLICK = 1000
"""Characters of Markdown that Dagster shows on the page itself."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, kw_only=True)
class Home:
    """A home whose round was made and not decided."""

    research: Research
    instance: dg.DagsterInstance
    round: str

    def make(self, asset: dg.AssetsDefinition, partition_key: str | None = None) -> dict[str, dg.MetadataValue]:
        result = dg.materialize(
            EVERYTHING,
            selection=[asset],
            instance=self.instance,
            resources={"research": self.research},
            partition_key=partition_key,
            run_config=QUIET,
        )
        (event,) = result.asset_materializations_for_node(asset.key.path[-1])
        return dict(event.metadata)

    def picture(self, markdown: str) -> bytes:
        """The file that a picture's Markdown shows."""
        address = markdown.partition("](/reports/")[2].partition("?")[0]
        return (self.research.settings.home / "reports" / address).read_bytes()

    def metadata(self, asset: str) -> dict[str, dg.MetadataValue]:
        """Of the asset's newest materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        return dict(event.asset_materialization.metadata)


@pytest.fixture(scope="module")
def home(tmp_path_factory, postgres_server, migrated_template):
    folder: Path = tmp_path_factory.mktemp("reports")
    write_simulated_archive(folder / "archive", edge=0.0, months=MONTHS)
    write_settings(folder / "helios.toml", SMALL | {"data.archive_url": (folder / "archive").as_uri()})
    with new_database(postgres_server, migrated_template) as url, dg.DagsterInstance.ephemeral() as instance:
        research = build_research(load_settings(folder / "helios.toml", {}), database_url=url)
        steps = [*MONTHLY, "sweep_results", "walk_forward_report", "backtest_report"]
        list(run_steps(research, instance, steps))
        yield Home(research=research, instance=instance, round=plan_round(research).name)


@contextmanager
def new_database(server, template) -> Iterator[str]:
    """A migrated database of its own, as the pipeline's role; dropped at the end of the block."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url(server, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template helios".encode())
        yield renamed(template, name).urls.pipeline
        connection.execute(f"drop database {name} with (force)".encode())


class _Outside(HTMLParser):
    """Collects everything that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = [value for name, value in attrs if name in ("src", "href", "xlink:href") and not value.startswith("#")]
        self.found += [tag] if tag in ("script", "link", "iframe") else found


def fetched_by(html: str) -> list[str]:
    parser = _Outside()
    parser.feed(html)
    return parser.found


def test_a_round_is_reported_before_it_is_decided_and_the_holdout_stays_untouched(home):
    metadata = home.make(round_report, home.round)

    html = Path(metadata["path"].path).read_text()
    with psycopg.connect(home.research.database()) as connection:
        looks = connection.execute("select count(*) from holdout_looks").fetchone()
    assert metadata["verdict"].text.startswith("Not decided yet.")
    assert "not been looked at" in html or "gates before the holdout refuse" in html
    assert looks == (0,)


def test_a_decided_round_shows_the_decision(home):
    home.make(round_report, home.round)
    list(run_steps(home.research, home.instance, ["promoted_parameters"]))

    metadata = home.make(round_report, home.round)

    (decided,) = PromotionStore(home.research.database()).decisions("paper", limit=1)
    assert decided.decision.decision == "refused"
    assert metadata["verdict"].text.startswith("Refused.")
    assert metadata["report"].url == f"/reports/round/{home.round}/{metadata['version'].text}.html"
    assert len(report_store(home.research).versions("round", home.round)) == 2


def test_the_page_of_a_round_has_every_section_with_its_pictures_and_tables(home):
    report = gather_round(home.research, plan_round(home.research))

    sections = {section.title: section.blocks for section in round_page(report).sections}
    pictures = {title: sum(isinstance(block, Picture) for block in blocks) for title, blocks in sections.items()}
    assert pictures == {
        "Gates": 0,
        report.set_word.capitalize(): 0,
        "Equity": 2,
        "Parameters": 5,
        "Luck": 1,
        "Walk-forward": 2,
        "Costs": 1,
        "Round trips": 0,
        "Second engine": 0,
        "Rounds": 1,
        "Next round": 0,
        "Inputs": 0,
    }
    assert [block.alt.partition(",")[0] for block in sections["Parameters"]] == [
        "Sharpe ratio by parameter",
        "Sharpe ratio along each parameter through the best set",
        *["Heat map of the Sharpe ratio"] * 2,
        "Heat maps of the Sharpe ratio for every pair of parameters",
    ]
    assert f"a Sharpe of {luck_sharpe(report.hurdle.trials, report.hurdle.days):.2f}" in sections["Luck"][1].text


def test_the_page_of_a_round_says_what_each_fold_kept_and_how_steady_the_choices_were(home):
    report = gather_round(home.research, plan_round(home.research))

    (walk_forward,) = (each.blocks for each in round_page(report).sections if each.title == "Walk-forward")
    folds, _, stability = (block for block in walk_forward if isinstance(block, Table))
    assert {"retention", "efficiency", "noise would score"} <= {column.name for column in folds.columns}
    assert [row[0] for row in stability.rows] == ["lookback_bars", "funding_weight", "entry_z", "stop_atr"]
    assert "Value of each parameter that each fold chose" in [b.alt for b in walk_forward if isinstance(b, Picture)]


def test_the_next_round_has_its_price_on_the_page(home):
    report = gather_round(home.research, plan_round(home.research))

    price = next(each.blocks[-1] for each in round_page(report).sections if each.title == "Next round")
    sets = Grid.from_values(report.summary["next_round"]["grid"]).size
    trials = report.hurdle.trials
    assert [row[:2] for row in price.rows] == [("now", f"{trials}"), ("after it, at most", f"{trials + sets}")]


def test_a_search_that_ends_has_no_price(home):
    assert price_of_proposal(home.research, plan_round(home.research), {"grid": None}) is None


def test_an_equal_round_keeps_its_report(home):
    first = Path(home.make(round_report, home.round)["path"].path)
    before = first.stat().st_mtime_ns

    again = Path(home.make(round_report, home.round)["path"].path)

    assert (again, again.stat().st_mtime_ns) == (first, before)


def test_data_quality_names_every_instrument_and_says_that_the_market_is_simulated(home):
    metadata = home.make(data_quality_report)

    html = Path(metadata["path"].path).read_text()
    assert "BTCUSDT-PERP.BINANCE" in html
    assert "no price in this report is real" in html
    assert metadata["coverage"].records[0].data["months"] == 5


def test_without_a_champion_its_report_says_why(home):
    list(run_steps(home.research, home.instance, ["promoted_parameters"]))

    metadata = home.make(champion_report)

    html = Path(metadata["path"].path).read_text()
    assert metadata["verdict"].text.startswith("No champion.")
    assert "Latest refusal" in html
    assert home.round in html


@pytest.mark.parametrize("asset", REPORTS, ids=lambda asset: asset.key.path[-1])
def test_reports_fetch_nothing(home, asset):
    metadata = home.make(asset, home.round if asset is round_report else None)

    assert fetched_by(Path(metadata["path"].path).read_text()) == []


@pytest.mark.parametrize(
    ("asset", "pictures", "tables"),
    [
        ("sweep_results", {"heat_map", "sharpe_distribution"}, {"best_sets", "next_round_price"}),
        ("walk_forward_report", {"choices", "equity", "sharpe_by_fold"}, {"folds"}),
        ("backtest_report", {"equity"}, {"finalists"}),
    ],
)
def test_what_a_round_found_is_shown_in_dagster(home, asset, pictures, tables):
    metadata = home.metadata(asset)

    shown = {name for name, value in metadata.items() if isinstance(value, dg.MarkdownMetadataValue)}
    assert shown == pictures
    assert all(home.picture(metadata[name].md_str).startswith(PNG) for name in pictures)
    assert all(metadata[name].records for name in tables)
    assert metadata["dagster/row_count"].value > 0
    assert metadata["dagster/column_schema"].schema.columns


def test_sets_without_a_sharpe_come_last_and_noise_stands_beside_the_others(home):
    result = load_round(home.research, plan_round(home.research))
    sharpes = [float("nan")] * (result.metrics.height - 2) + [0.5, 1.5]
    columns = {"passed": pl.lit(False), "proscore2": pl.lit(0.0), "sharpe": pl.Series(sharpes)}

    rows = best_sets(replace(result, metrics=result.metrics.with_columns(**columns)), 1440).records

    assert [row.data["sharpe"] for row in rows][:3] == [1.5, 0.5, None]
    assert rows[0].data["noise_would_score"] == luck_sharpe(1440, result.metrics["days"][0])


def test_noise_stands_beside_the_best_set_in_dagster(home):
    metadata = home.metadata("sweep_results")

    luck = luck_sharpe(metadata["trials"].value, metadata["best"].data["metrics"]["days"])
    assert metadata["best"].data["noise_would_score"] == luck


def test_a_table_keeps_numbers_as_numbers_and_leaves_out_what_is_none():
    rows = [{"name": "a", "count": 2, "share": 0.5}, {"name": None, "count": 3, "share": float("nan")}]

    table = rows_table(rows)

    assert [(column.name, column.type) for column in table.schema.columns] == [
        ("name", "string"),
        ("count", "int"),
        ("share", "float"),
    ]
    assert [record.data for record in table.records] == [
        {"name": "a", "count": 2, "share": 0.5},
        {"name": None, "count": 3, "share": None},
    ]


def test_a_long_table_is_cut():
    assert len(rows_table([{"k": k} for k in range(500)], limit=7).records) == 7


def test_a_picture_is_one_short_image_whose_description_can_not_break_out_of_it(home):
    from helios_pipeline.data.funding import RAW_FUNDING_SCHEMA

    figure = draw_funding(RAW_FUNDING_SCHEMA.to_frame())
    shown = picture(home.research, "rates/May", figure, "rates](http://elsewhere) [of\nMay").md_str

    assert shown.startswith("![rates)(http://elsewhere) (of May](/reports/pictures/rates/May.png?")
    assert len(shown) < SHOWN_WITHOUT_A_CLICK
    assert home.picture(shown).startswith(PNG)


def test_a_disagreement_of_the_engines_is_reported_stops_the_run_and_is_never_current(home, monkeypatch):
    agreed = home.research.lake.facts_named("backtest_report", home.round)
    compare = backtest.compare_finalists

    def differing(*arguments):
        return [replace(result, difference="fill 0: kernel {}, NautilusTrader {}") for result in compare(*arguments)]

    monkeypatch.setattr(backtest, "compare_finalists", differing)
    with pytest.raises(SimulationError, match=r"1 of 1 finalists.*fill 0: kernel"):
        home.make(backtest_report, home.round)
    stored = home.research.lake.facts_named("backtest_report", home.round)["agreement"]
    monkeypatch.undo()
    (again,) = run_steps(home.research, home.instance, ["backtest_report"])

    assert (stored["differences"], stored["first_difference"]) == (1, "fill 0: kernel {}, NautilusTrader {}")
    assert again.made == 1
    assert home.research.lake.facts_named("backtest_report", home.round)["agreement"] == agreed["agreement"]


def test_a_sampled_round_has_pictures_of_the_grid_s_values(home, postgres_server, migrated_template, tmp_path):
    archive = home.research.settings.data.archive_url
    sampled = {"data.archive_url": archive, "search.sampler": "sobol", "search.sets": 40}
    write_settings(tmp_path / "helios.toml", SMALL | sampled | {"paths.home": str(home.research.settings.home)})
    with new_database(postgres_server, migrated_template) as url:
        research = build_research(load_settings(tmp_path / "helios.toml", {}), database_url=url)
        plan = plan_round(research)
        home.instance.add_dynamic_partitions("round", [plan.name])
        metadata = replace(home, research=research).make(sweep_results, plan.name)
        trials = count_trials(research, plan, plan.window)

    assert (metadata["dagster/row_count"].value, trials) == (40, 40)
    _, height = struct.unpack(">II", home.picture(metadata["heat_map"].md_str)[16:24])
    assert height < 200
