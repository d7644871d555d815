import json
from dataclasses import replace

import psycopg
import pytest

from helios_pipeline.adapters.postgres.promotions import Decision, PromotionStore
from helios_pipeline.core.errors import DatabaseError

REFUSAL = Decision(
    network="paper",
    decision="refused",
    round="first",
    candidate=None,
    gates=[{"gate": "deflated_sharpe", "value": 0.4, "threshold": 0.95, "passed": False}],
    manifest=None,
    signature=None,
    key_id=None,
)


def promotion(name: str, network: str = "paper") -> Decision:
    return Decision(
        network=network,
        decision="promoted",
        round=name,
        candidate={"entry_z": 2.0},
        gates=[],
        manifest=f'{{"round":"{name}"}}'.encode(),
        signature=f"signature of {name}",
        key_id="ed25519:1",
    )


@pytest.fixture
def store(database_url):
    return PromotionStore(database_url)


def reigning(store: PromotionStore, network: str = "paper") -> str:
    return store.champion(network).round


def test_a_refusal_is_recorded_and_changes_no_champion(store):
    number = store.record(REFUSAL)

    (stored,) = store.decisions("paper")
    assert (stored.promotion_id, stored.decision) == (number, REFUSAL)
    assert stored.decided_at.tzinfo is not None
    assert store.champion("paper") is None


def test_a_promotion_becomes_the_champion_of_its_network_with_the_exact_signed_bytes(store):
    number = store.record(promotion("first"))

    champion = store.champion("paper")

    assert (champion.promotion_id, champion.action, champion.round) == (number, "promoted", "first")
    assert champion.manifest == b'{"round":"first"}'
    assert (champion.signature, champion.key_id) == ("signature of first", "ed25519:1")
    assert store.champion("testnet") is None


def test_decisions_come_newest_first(store):
    for decision in (REFUSAL, promotion("second"), replace(REFUSAL, round="third")):
        store.record(decision)

    assert [stored.decision.round for stored in store.decisions("paper")] == ["third", "second", "first"]
    assert len(store.decisions("paper", limit=1)) == 1


def test_a_rollback_returns_to_the_champion_before_and_keeps_the_history(store):
    store.record(promotion("first"))
    store.record(promotion("second"))

    returned = store.rollback("paper", "drawdown")

    assert (returned.round, returned.action, returned.reason) == ("first", "rolled_back", "drawdown")
    assert store.champion("paper") == returned
    assert [row.round for row in store.champions("paper")] == ["first", "second", "first"]


def test_two_rollbacks_go_two_promotions_back(store):
    for name in ("first", "second", "third"):
        store.record(promotion(name))

    assert store.rollback("paper", "").round == "second"
    assert store.rollback("paper", "").round == "first"
    with pytest.raises(DatabaseError, match="with none before it"):
        store.rollback("paper", "")
    assert reigning(store) == "first"


def test_a_champion_that_was_rolled_back_is_not_returned_to(store):
    store.record(promotion("first"))
    store.record(promotion("bad"))
    store.rollback("paper", "")
    store.record(promotion("third"))

    assert store.rollback("paper", "").round == "first"


def test_a_rollback_without_a_champion_is_refused(store):
    store.record(promotion("elsewhere", "testnet"))

    with pytest.raises(DatabaseError, match="found no champion"):
        store.rollback("paper", "")


def test_an_earlier_promotion_can_be_promoted_again(store):
    first = store.record(promotion("first"))
    store.record(promotion("second"))

    store.promote("paper", first, "second was no better")

    assert (reigning(store), store.champion("paper").action) == ("first", "promoted")
    assert store.rollback("paper", "").round == "second"


def test_a_refusal_or_another_networks_promotion_cannot_be_promoted(store):
    refused = store.record(REFUSAL)
    elsewhere = store.record(promotion("elsewhere", "testnet"))

    for number in (refused, elsewhere, 10_000):
        with pytest.raises(DatabaseError, match="expected a promotion on record"):
            store.promote("paper", number, "")


def test_listeners_are_told_of_a_new_champion(store, database):
    with psycopg.connect(database.urls.live, autocommit=True) as listener:
        listener.execute("listen helios")

        store.record(promotion("first"))

        told = [json.loads(notify.payload) for notify in listener.notifies(timeout=30, stop_after=2)]
    assert told == [{"table": "promotions", "op": "INSERT"}, {"table": "champions", "op": "INSERT"}]


def test_the_engines_role_reads_the_champion(store, database):
    store.record(promotion("first"))

    assert PromotionStore(database.urls.live).champion("paper").round == "first"
