"""From the demo's champion to promotion, approval and rollback, and what of it is refused."""

import re
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helios_pipeline.adapters.champion.files import champion_path, read_champion
from helios_pipeline.adapters.keys.files import load_key, new_key
from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.promotions import Decision, PromotionStore
from helios_pipeline.core.keys import SigningKey
from helios_pipeline.core.manifest import Deployment, Manifest, sign_manifest, verify_manifest
from helios_pipeline.core.records import REAL_MARKET
from helios_pipeline.strategy.parameters import STRATEGY_VERSION
from tests.helios_home import BTC, SMALL, HeliosHome, Outcome, new_home, write_settings

GENEROUS = {
    "constraints.min_round_trips": 1,
    "constraints.max_drawdown_fraction": 1.0,
    "constraints.min_sharpe": -10.0,
    "constraints.min_win_rate": 0.0,
    "gates.min_deflated_sharpe": 0.5,
    "gates.max_pbo": 1.0,
    "gates.min_out_of_sample_sharpe": -100.0,
    "gates.min_retention": -100.0,
    "gates.min_out_of_sample_round_trips": 0,
    "gates.min_positive_folds": 0.0,
    "holdout.significance": 0.99,
    "simulated_market.seed": 7,
    "simulated_market.edge": 1.0,
    "simulated_market.edge_half_life": 720,
    "simulated_market.from": "2024-01",
    "simulated_market.to": "2024-05",
    "simulated_market.instruments": [
        {
            "id": BTC,
            "start_price": 60_000,
            "daily_volatility": 0.025,
            "daily_volume": 150_000,
            "trades_per_day": 20_000,
        }
    ],
}
"""Gates that let five months of a market with an edge pass; what they are is not what these tests are about."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a small `helios demo` left behind."""

    outcome: Outcome
    home: HeliosHome
    champion: Decision
    manifest: Manifest
    key: SigningKey


@pytest.fixture(scope="session")
def demo(memory_folder):
    with new_home(memory_folder, **GENEROUS) as made:
        outcome = made.run("demo")
        own = made.home / "demo"
        with open_database(own, None) as database:
            (stored,) = PromotionStore(database.urls.pipeline).decisions("paper")
        key = load_key(own / "keys" / "pipeline.json")
        manifest = verify_manifest(
            read_champion(own, "paper"),
            deployment=Deployment(network="paper", bar_seconds=900, strategy_version=STRATEGY_VERSION),
            trusted={"paper": [key.public]},
            now=datetime.now(UTC),
        )
        yield Demo(outcome=outcome, home=made, champion=stored.decision, manifest=manifest, key=key)


class Desk:
    """A home with the demo's champion, its key and an operator's, on a database of its own; commands run here."""

    def __init__(self, folder, demo, database, run_here):
        self.home = folder / "home"
        self.demo, self.database, self._run_here = demo, database, run_here
        shutil.copytree(demo.home.home / "demo" / "keys", self.home / "keys")
        shutil.copytree(demo.home.home / "demo" / "champions", self.home / "champions")
        self.operator = folder / "operator.json"
        public = new_key(self.operator, "operator").text
        keys = {"keys.paper": [public], "keys.testnet": [public, demo.key.public.text]}
        write_settings(folder / "helios.toml", SMALL | GENEROUS | keys)
        self.folder, self.store = folder, PromotionStore(database.urls.pipeline)
        self.store.record(demo.champion)

    def run(self, *arguments):
        return self._run_here(*arguments, folder=self.folder, HELIOS_DATABASE_URL=self.database.urls.owner)

    def record(self, signed):
        """Make signed bytes the paper champion, whoever signed them."""
        self.store.record(
            replace(self.demo.champion, manifest=signed.content, signature=signed.signature.hex(), key_id=signed.key_id)
        )
        champion_path(self.home, "paper").unlink()

    def approve(self, network, key):
        return self.run("promote", "--approve", "--network", network, "--key", str(key), "--approver", "A. Person")


@pytest.fixture
def desk(tmp_path, demo, database, lend_passwords, run_here):
    made = Desk(tmp_path, demo, database, run_here)
    lend_passwords(made.home)
    return made


def assert_refused(outcome, code, *parts):
    assert (outcome.code, len(outcome.lines)) == (code, 1), outcome.err
    assert [part for part in parts if part not in outcome.err] == []


def found_on_real_data(manifest):
    return replace(manifest, provenance=replace(manifest.provenance, market_data=REAL_MARKET))


def test_the_demo_ends_in_a_signed_champion_and_says_that_no_price_is_real(demo):
    outcome = demo.outcome

    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("Simulated market, seed 7: none of these prices is real.")
    assert "Market data: simulated seed 7" in outcome.out
    assert "Champion for paper, signed with key" in outcome.out
    market_data = demo.manifest.provenance.market_data
    assert market_data.startswith("simulated seed 7 market ")
    assert demo.champion.decision == "promoted"
    assert (demo.home.home / "demo" / "lake" / market_data.replace(" ", "-")).is_dir()


def test_the_demo_shows_both_venues_live_and_leaves_neither_running(demo):
    said = demo.outcome.out.partition("Live: ")[2]

    heard, equal, closed = re.search(r"(\d+) trades of BTCUSDT heard in 5 s; (\d+) of (\d+) closed bars", said).groups()
    height, size, price, fee = re.search(
        r"block ([\d,]+): bought ([\d.]+) BTC-USD at ([\d.]+) for a fee of ([\d.]+) USDC", said
    ).groups()
    assert int(heard) > 0
    assert int(equal) == int(closed) > 0
    assert int(height.replace(",", "")) > 0
    assert Decimal(fee) == pytest.approx(Decimal(size) * Decimal(price) * Decimal("0.0005"), abs=Decimal("0.000001"))
    assert [line for line in demo.home.left_after(30).values() if "simulated_venues" in line] == []


def test_the_champion_is_shown_with_its_evidence_after_its_signature_was_verified(desk):
    outcome = desk.run("champion")

    assert outcome.code == 0, outcome.err
    assert f"key {desk.demo.key.public.key_id}, verified" in outcome.out
    for part in ("simulated seed 7", BTC, "by pipeline", "deflated sharpe", "holdout", desk.demo.champion.round):
        assert part in outcome.out


def test_a_network_without_a_champion_says_so(desk):
    outcome = desk.run("champion", "--network", "mainnet")

    assert outcome.code == 5
    assert "No champion for mainnet" in outcome.out


def test_there_is_nothing_to_roll_back_to_before_the_first_champion(desk):
    assert_refused(desk.run("rollback", "--reason", "worse"), 4, "rollback on paper", "none before it")
    assert_refused(desk.run("rollback", "--network", "testnet"), 4, "rollback on testnet", "no champion")
    assert desk.run("champion").code == 0


def test_an_approval_makes_a_champion_and_a_rollback_returns_to_the_one_before(desk):
    first = champion_path(desk.home, "paper").read_bytes()

    approved = desk.approve("paper", desk.operator)
    shown = desk.run("champion")
    returned = desk.run("rollback", "--reason", "worse than expected")
    history = desk.run("champion", "--history")

    assert approved.code == 0, approved.err
    assert "by A. Person" in shown.out
    assert returned.code == 0, returned.err
    assert champion_path(desk.home, "paper").read_bytes() == first
    assert desk.run("champion").code == 0
    rows = [line for line in history.out.splitlines() if desk.demo.champion.round in line]
    assert ["rolled back" in row for row in rows] == [True, False, False]
    assert "worse than expected" in rows[0]


def test_evidence_from_a_simulated_market_is_never_signed_for_orders(desk):
    refused = desk.approve("testnet", desk.operator)

    assert_refused(refused, 5, "testnet", "simulated seed 7", "helios research")
    assert desk.store.champion("testnet") is None
    assert not champion_path(desk.home, "testnet").exists()


def test_an_operators_key_signs_for_testnet_what_was_found_on_real_data(desk):
    desk.record(sign_manifest(found_on_real_data(desk.demo.manifest), desk.demo.key))

    approved = desk.approve("testnet", desk.operator)
    shown = desk.run("champion", "--network", "testnet")

    assert approved.code == 0, approved.err
    assert "Champion for testnet" in shown.out
    assert f"key {load_key(desk.operator).public.key_id}, verified" in shown.out
    assert read_champion(desk.home, "testnet").content == desk.store.champion("testnet").manifest


def test_the_pipelines_key_is_refused_for_testnet_even_if_it_is_listed_there(desk):
    desk.record(sign_manifest(found_on_real_data(desk.demo.manifest), desk.demo.key))

    refused = desk.approve("testnet", desk.home / "keys" / "pipeline.json")

    assert_refused(refused, 5, "testnet", "expected an operator's key", "found the pipeline key")
    assert desk.store.champion("testnet") is None


def test_a_key_that_is_not_listed_is_refused(desk, tmp_path):
    stranger = new_key(tmp_path / "stranger.json", "operator")

    refused = desk.approve("paper", tmp_path / "stranger.json")

    assert_refused(refused, 5, "keys.paper", stranger.key_id)
    assert len(desk.store.champions("paper")) == 1


def altered(demo):
    signed = sign_manifest(demo.manifest, demo.key)
    return replace(signed, content=signed.content.replace(b'"trials":16', b'"trials":1'))


def by_a_stranger(demo):
    return sign_manifest(demo.manifest, SigningKey.from_seed(b"s" * 32, "operator"))


def expired(demo):
    approval = replace(demo.manifest.approval, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    return sign_manifest(replace(demo.manifest, approval=approval), demo.key)


def of_another_strategy(demo):
    terms = replace(demo.manifest.terms, strategy_version="mean_reversion_funding/0")
    return sign_manifest(replace(demo.manifest, terms=terms), demo.key)


@pytest.mark.parametrize(
    ("make", "said"),
    [(altered, "altered"), (by_a_stranger, "trusted"), (expired, "expired"), (of_another_strategy, "strategy version")],
)
def test_a_champion_on_record_that_may_not_trade_is_refused_and_not_approved_further(desk, make, said):
    desk.record(make(desk.demo))

    assert_refused(desk.run("champion"), 5, said)
    assert_refused(desk.approve("paper", desk.operator), 5, said)


def other_content(path):
    path.write_bytes(path.read_bytes().replace(b'"trials":16', b'"trials":1'))


def no_manifest(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("damage", [other_content, no_manifest])
def test_a_champion_file_that_is_not_the_one_on_record_is_refused(desk, damage):
    path = champion_path(desk.home, "paper")
    before = path.read_bytes()
    damage(path)
    assert path.read_bytes() != before

    assert_refused(desk.run("champion"), 5, "manifest")


def test_a_file_that_was_left_behind_by_a_later_promotion_is_brought_up_to_date(desk):
    path = champion_path(desk.home, "paper")
    earlier = path.read_bytes()
    desk.approve("paper", desk.operator)
    latest = path.read_bytes()
    path.write_bytes(earlier)

    shown, again = desk.run("champion"), desk.run("champion")

    assert "held an earlier champion" in shown.out
    assert "by A. Person" in shown.out
    assert path.read_bytes() == latest
    assert "held an earlier champion" not in again.out


def test_the_trusted_keys_are_listed_with_where_they_stand(desk):
    shown = desk.run("keys", "show")

    assert shown.code == 0
    assert shown.out.count(load_key(desk.operator).public.key_id) == 2
    assert "pipeline.json" in shown.out
