"""A new champion is heard of at once, and by polling when nothing can be heard."""

import threading
from contextlib import contextmanager

import psycopg
import pytest

from helios_pipeline.adapters.postgres.champion_news import ChampionNews, PromotedChampion
from helios_pipeline.adapters.postgres.promotions import Decision, PromotionStore
from helios_pipeline.core.errors import DatabaseError, ManifestError

NEVER = 3_600.0


def promotion(name, network="paper", signature="ab" * 64):
    return Decision(
        network=network,
        decision="promoted",
        round=name,
        candidate={},
        gates=[],
        manifest=f'{{"round":"{name}"}}'.encode(),
        signature=signature,
        key_id="0123456789abcdef",
    )


class Reader:
    """What is called by the news: counts, and can be waited for."""

    def __init__(self, source):
        self._source = source
        self._changed = threading.Condition()
        self.calls, self.seen, self.failures = 0, [], 0

    def __call__(self):
        try:
            found = self._source.read()
        except DatabaseError:
            found = None
            self.failures += 1
        with self._changed:
            self.calls += 1
            self.seen.append(None if found is None else found.content)
            self._changed.notify_all()

    def wait(self, condition, seconds=30):
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), seconds), self.seen


@contextmanager
def listening(url, poll_seconds):
    reader = Reader(PromotedChampion(url, "paper"))
    news = ChampionNews(url, reader, poll_seconds)
    news.start()
    try:
        assert news.listening.wait(30)
        yield reader, news
    finally:
        news.stop()


def test_the_engines_role_reads_the_champion_with_the_exact_signed_bytes(database):
    PromotionStore(database.urls.pipeline).record(promotion("first"))

    champion = PromotedChampion(database.urls.live, "paper").read()

    assert (champion.content, champion.key_id) == (b'{"round":"first"}', "0123456789abcdef")
    assert champion.signature == bytes.fromhex("ab" * 64)
    assert PromotedChampion(database.urls.live, "mainnet").read() is None


def test_a_signature_that_is_none_is_an_error_of_the_manifest(database):
    PromotionStore(database.urls.pipeline).record(promotion("first", signature="unsigned"))

    with pytest.raises(ManifestError, match="expected a signature of 64 bytes"):
        PromotedChampion(database.urls.live, "paper").read()


def test_a_promotion_is_heard_without_polling(database):
    store = PromotionStore(database.urls.pipeline)
    with listening(database.urls.live, NEVER) as (reader, _):
        reader.wait(lambda r: r.calls >= 1)
        store.record(promotion("first"))
        reader.wait(lambda r: r.seen[-1] == b'{"round":"first"}')
        store.record(promotion("second"))
        reader.wait(lambda r: r.seen[-1] == b'{"round":"second"}')

        assert reader.failures == 0


def test_it_listens_again_after_its_connection_was_cut(database):
    store = PromotionStore(database.urls.pipeline)
    with listening(database.urls.live, 0.2) as (reader, news):
        with psycopg.connect(database.urls.owner, autocommit=True) as owner:
            reader.wait(lambda r: r.calls >= 1)
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'helios_live' and datname = current_database()"
            )
        before = reader.calls
        reader.wait(lambda r: r.calls > before)
        store.record(promotion("while it was away"))

        reader.wait(lambda r: r.seen[-1] == b'{"round":"while it was away"}')
        assert news.listening.wait(30)


def test_polling_finds_what_nobody_announced(database):
    with listening(database.urls.live, 0.2) as (reader, _):
        reader.wait(lambda r: r.calls >= 1)
        with psycopg.connect(database.urls.owner) as owner:
            # As behind a pooler that passes no notification on.
            owner.execute("alter table champions disable trigger champions_notify")
        PromotionStore(database.urls.pipeline).record(promotion("quiet"))

        reader.wait(lambda r: r.seen[-1] == b'{"round":"quiet"}')
        assert reader.failures == 0


def test_a_server_that_is_away_is_asked_again_and_stopping_does_not_wait_for_it():
    url = "postgresql://helios_live:x@127.0.0.1:1/helios"
    reader = Reader(PromotedChampion(url, "paper"))
    news = ChampionNews(url, reader, 0.05)
    news.start()
    try:
        reader.wait(lambda r: r.failures >= 2)

        assert not news.listening.is_set()
    finally:
        news.stop()
