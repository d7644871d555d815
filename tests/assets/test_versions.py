"""Every setting that changes a result changes the version of what is made from it."""

import tomllib
from datetime import UTC, datetime

import polars as pl
import pytest

from assets.backtest import backtest_version
from assets.features import FUNDING_FEATURES
from assets.promotion import decision_version
from assets.rounds import plan_round
from assets.sweep import sweep_version
from assets.walk_forward import walk_forward_version
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings
from tests.helios_home import BTC, ROOT, write_settings

MONTHS = {"research.from": "2024-01", "research.to": "2024-12"}
OTHERS = MONTHS | {
    "research.from": "2024-02",
    "research.to": "2024-11",
    "research.instruments": [BTC],
    "costs.fee_fraction": 0.0006,
    "gates.min_deflated_sharpe": 0.9,
    "search.sampler": "sobol",
    "walk_forward.scheme": "anchored",
    "statistics.confidence": 0.8,
    "bias.survived_cost_factor": 2.0,
}
"""Other values of settings that can't be one or a tenth more."""

WITHOUT_EFFECT = {
    "research.workers",
    "research.backtest_memory_mb",
    "search.sets",  # of a sampled round
    "search.seed",
    "paths.home",
    "data.archive_url",  # files are told by their hashes, a market by its name
    "data.rest_url",
    "data.concurrency",
    "data.attempts",
    "data.timeout_seconds",
    "promotion.valid_days",  # of the next promotion; the evidence stays what it is
}
CHANGED = {
    "data": {"features", "sweep"},
    "features": {"features", "sweep"},
    "walk_forward": {"walk_forward"},
    "gates": {"decision"},
    "gates.agreement_sets": {"backtest", "decision"},
    "holdout": {"decision"},
    "statistics": {"decision"},
    "bias": set(),
    "holdout.days": {"sweep", "decision"},
}
"""What a setting, or a section, changes; the others change the round, whose name all versions carry."""

NOT_RESEARCH = {"keys", "simulated_market", "simulated_venues", "checks", "dagster"} | {
    "live",
    "live_venues",
    "risk_gate",
    "watchdog",
}
SHIPPED = tomllib.loads((ROOT / "helios.toml").read_text())
SEARCHED = [
    f"{section}.{key}"
    for section, values in SHIPPED.items()
    if isinstance(values, dict) and section not in NOT_RESEARCH
    for key in values
]


@pytest.fixture
def versions(tmp_path, database):
    """Versions of everything that is made, under the shipped settings with some of them changed."""
    (tmp_path / "archive").mkdir()
    own = MONTHS | {"paths.home": "home", "data.archive_url": (tmp_path / "archive").as_uri()}

    def of(changes):
        write_settings(tmp_path / "helios.toml", own | changes)
        settings = load_settings(tmp_path / "helios.toml", {})
        research = build_research(settings, database_url=database.urls.pipeline)
        until = datetime(2025, 1, 1, tzinfo=UTC).isoformat()
        for instrument in settings.research.instruments:
            month = {"instrument": instrument, "month": settings.research.last_month}
            research.lake.replace("raw_klines", pl.DataFrame(), **month, version="1", facts={"covers_until": until})
        plan = plan_round(research)
        return {
            "features": FUNDING_FEATURES.plan(research, [(BTC, "2024-06")])[BTC, "2024-06"].made_from,
            "sweep": sweep_version(research, plan),
            "walk_forward": walk_forward_version(research, plan),
            "backtest": backtest_version(research, plan),
            "decision": decision_version(research, plan),
        }

    return of


def another(name):
    section, key = name.split(".")
    value = SHIPPED[section][key]
    if name in OTHERS:
        return OTHERS[name]
    if isinstance(value, list):
        return value[:-1]
    return value + 1 if isinstance(value, int) else round(value * 1.5, 9)


def test_every_setting_that_changes_a_result_changes_the_version_of_what_is_made_from_it(versions):
    shipped = versions({})

    changed = {
        name: {step for step, version in versions({name: another(name)}).items() if version != shipped[step]}
        for name in SEARCHED
        if name not in WITHOUT_EFFECT
    }

    assert changed == {name: CHANGED.get(name, CHANGED.get(name.split(".")[0], {"sweep"})) for name in changed}
    assert len(changed) > 40


def test_settings_of_speed_and_place_change_no_version(versions):
    changes = {"research.workers": 3, "data.concurrency": 2, "data.attempts": 1, "promotion.valid_days": 10}

    assert versions(changes) == versions({})
