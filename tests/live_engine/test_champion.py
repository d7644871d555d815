"""What the engine may trade: only what is signed, unaltered, made for this engine and not expired."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.core.errors import DatabaseError, ManifestError
from helios_pipeline.core.manifest import SignedManifest
from helios_pipeline.execution.champion_terms import make_terms
from live_engine.champion import ChampionHolder, TrustedDeployment
from tests.live_engine.manifests import BITCOIN, ETHER, HERE, OPERATOR, PIPELINE, STRANGER, TRUSTED, signed

MARKETS = (BITCOIN, ETHER)


class Board:
    """A source whose content the test sets: a file's bytes, nothing, or an error."""

    def __init__(self, content=None):
        self.content = content

    def read(self):
        if isinstance(self.content, Exception):
            raise self.content
        if isinstance(self.content, bytes):
            return SignedManifest.from_bytes(self.content)
        return self.content


class Desk:
    """A holder with its source, and what it refused."""

    def __init__(self, folder, content=None):
        self.board = Board(content)
        self.refused = []
        self.holder = ChampionHolder(
            TrustedDeployment(deployment=HERE, trusted=TRUSTED),
            self.board,
            folder,
            lambda manifest, name: make_terms(manifest, name, MARKETS),
            lambda name, why: self.refused.append((name, why)),
        )

    def offer(self, content):
        self.board.content = content
        self.holder.poll()

    @property
    def current(self):
        champion = self.holder.current
        return None if champion is None else champion.manifest_hash


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "champions")


def test_a_genuine_champion_is_taken_over(desk):
    champion = signed()

    desk.offer(champion)

    assert (desk.current, desk.holder.note, desk.refused) == (champion.content_hash, "", [])
    assert desk.holder.current.terms.traded == (True, False)


def test_without_a_promotion_there_is_no_champion_and_the_note_says_so(desk):
    desk.offer(None)

    assert desk.current is None
    assert "no champion was promoted for paper" in desk.holder.note


REFUSED = {
    "foreign network": (lambda: signed(OPERATOR, network="mainnet"), "network paper, found mainnet"),
    "bar length": (lambda: signed(bar_seconds=15), "bar length in seconds 900, found 15"),
    "strategy version": (lambda: signed(strategy_version="mean_reversion_funding/2"), "strategy version"),
    "untrusted key": (lambda: signed(STRANGER), "expected a key that is trusted for paper"),
    "expired": (lambda: signed(valid_for=timedelta(seconds=-1)), "found it expired"),
    "unsigned": (
        lambda: ManifestError("manifest: expected a signature of 64 bytes in hex, found ''. Promote again."),
        "expected a signature",
    ),
    "another key's signature": (lambda: replace(signed(), key_id=OPERATOR.public.key_id), "found it altered"),
    "unknown parameter": (lambda: signed(leverage=3), "parameter set: expected"),
    "other instruments": (lambda: signed(signal_ids=("XRPUSDT-PERP.BINANCE",)), "found it judged on"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_champion_that_is_not_for_this_engine_is_refused_and_the_old_one_kept(desk, name):
    make, why = REFUSED[name]
    old = signed()
    desk.offer(old)

    desk.offer(make())
    desk.holder.poll()

    assert desk.current == old.content_hash
    assert why in desk.holder.note
    assert len(desk.refused) == 1, "told once, however often it is offered"
    assert why in desk.refused[0][1]


def test_no_single_altered_byte_of_a_manifest_is_accepted(desk):
    old, new = signed(entry_z=2.5), signed(entry_z=3.0)
    desk.offer(old)
    whole = new.to_bytes()

    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1 + position % 255
        desk.offer(bytes(altered))
        assert desk.current == old.content_hash, position

    desk.offer(whole)
    assert desk.current == new.content_hash


def test_a_refusal_is_forgotten_when_the_old_champion_is_offered_again(desk):
    old = signed()
    desk.offer(old)
    desk.offer(signed(STRANGER))

    desk.offer(old)

    assert (desk.current, desk.holder.note) == (old.content_hash, "")


def test_a_champion_is_gone_at_the_moment_it_expires(desk):
    champion = signed(valid_for=timedelta(seconds=5))
    desk.offer(champion)
    in_force = desk.holder.current
    assert (in_force.manifest_hash, desk.holder.note) == (champion.content_hash, "")

    while desk.holder.current is not None:
        now = datetime.now(UTC)

    assert now <= in_force.expires_at <= datetime.now(UTC)
    assert "expired at" in desk.holder.note
    assert desk.holder.terms_of(champion.content_hash) is in_force.terms, "what it opened is still managed on its terms"


def test_a_database_that_is_away_changes_nothing(desk):
    champion = signed()
    desk.offer(champion)

    desk.offer(DatabaseError("PostgreSQL: expected to connect, found nobody."))

    assert (desk.current, desk.holder.note, desk.refused) == (champion.content_hash, "", [])


def test_a_source_that_fails_as_nobody_foresaw_changes_nothing_and_is_told(desk):
    champion = signed()
    desk.offer(champion)

    desk.offer(RuntimeError("a column is missing"))
    assert (desk.current, desk.refused) == (
        champion.content_hash,
        [("", "champion: RuntimeError: a column is missing")],
    )
    desk.offer(champion)
    assert desk.holder.note == ""


def test_an_engine_that_starts_without_a_database_goes_on_with_its_last_champion(desk, tmp_path):
    champion = signed()
    desk.offer(champion)
    restarted = Desk(tmp_path / "champions", DatabaseError("away"))

    restarted.holder.load()
    restarted.holder.poll()

    assert (restarted.current, restarted.holder.note) == (champion.content_hash, "")


def test_a_champion_file_that_was_altered_or_has_expired_is_not_gone_on_with(desk, tmp_path):
    desk.offer(signed())
    path = tmp_path / "champions/current.json"
    path.write_bytes(path.read_bytes().replace(b'"entry_z":"2.0"', b'"entry_z":"1.0"'))
    restarted = Desk(tmp_path / "champions", DatabaseError("away"))

    restarted.holder.load()
    restarted.holder.poll()

    assert restarted.current is None
    assert "found it altered" in restarted.refused[0][1]


def test_terms_of_an_earlier_champion_are_there_after_a_restart_even_when_it_has_expired(desk, tmp_path):
    earlier, later = signed(valid_for=timedelta(seconds=0.5), entry_z=2.25), signed(entry_z=3.0)
    desk.offer(earlier)
    assert desk.current == earlier.content_hash
    desk.offer(later)
    restarted = Desk(tmp_path / "champions", later)
    restarted.holder.load()
    restarted.holder.poll()

    assert restarted.holder.terms_of(earlier.content_hash).parameters.entry_z == 2.25
    assert restarted.holder.terms_of(later.content_hash).parameters.entry_z == 3.0
    assert restarted.holder.terms_of("0" * 64) is None


def test_an_earlier_champion_whose_file_was_altered_gives_no_terms(desk, tmp_path):
    earlier = signed(entry_z=2.25)
    desk.offer(earlier)
    desk.offer(signed(entry_z=3.0))
    path = tmp_path / f"champions/{earlier.content_hash}.json"
    path.write_bytes(path.read_bytes().replace(b'"2.25"', b'"2.26"'))

    assert Desk(tmp_path / "champions").holder.terms_of(earlier.content_hash) is None


def test_a_champion_that_cannot_be_kept_is_not_traded(desk, tmp_path):
    (tmp_path / "champions").write_text("in the way")

    desk.offer(signed())

    assert desk.current is None
    assert "expected to keep the champion" in desk.holder.note


def test_terms_take_steps_from_what_is_traded_and_the_largest_position_from_research():
    manifest = signed(signal_ids=(ETHER.signal_instrument_id, BITCOIN.signal_instrument_id))

    terms = make_terms(verified(manifest), "hash", MARKETS)

    # 0.1 × 0.0001 = 0.00001 = 1,000 quanta of 1e-8.
    assert terms.contracts["quanta_per_tick_lot"].tolist() == [1_000, 1_000]
    assert terms.contracts["min_lots"].tolist() == [1, 1]
    assert terms.contracts["min_notional"].tolist() == [0, 0]
    assert terms.contracts["max_notional"].tolist() == [10**14, 10**14]
    assert terms.rule.entry_z == 2.0


def verified(manifest):
    from helios_pipeline.core.manifest import verify_manifest

    return verify_manifest(manifest, deployment=HERE, trusted=TRUSTED, now=datetime.now(UTC))


def test_the_pipelines_key_opens_paper_only():
    assert PIPELINE.public.may_sign_for("paper")
    assert not PIPELINE.public.may_sign_for("mainnet")
