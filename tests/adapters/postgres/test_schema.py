"""What each role may do, tried on the server: rights that are only read are rights that are only hoped for."""

import psycopg
import pytest

RESEARCH_TABLES = [
    "ledger_entries",
    "sweep_rounds",
    "walk_forward_reports",
    "backtest_reports",
    "holdout_looks",
    "promotions",
    "champions",
    "review_requests",
]
STATES = ["engine_leases", "engine_modes", "engine_heartbeats", "journal_positions"]
"""Rows that say how things are now."""
HAPPENED = [
    "live_decisions",
    "intents",
    "order_events",
    "fills",
    "inferred_fills",
    "funding_payments",
    "transfers",
    "mode_changes",
    "champion_changes",
    "reconciliations",
    "account_snapshots",
    "bar_differences",
]
LIVE_TABLES = STATES + HAPPENED
OPEN_TABLES = """
select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
and (not relrowsecurity or has_table_privilege('anon', oid, 'select,insert,update,delete,truncate'))
"""
REPORT = "insert into walk_forward_reports (round, report, input_version) values ('r', '{}', 'v')"
LOOK = """
insert into holdout_looks (market_data, instruments, window_first, window_last, candidate_key, k)
values ('binance', '{a}', '2024-01-01', '2024-02-01', 'c', 1)
"""
REVIEW_REQUEST = """
insert into review_requests (trigger, trigger_key, subject, run_id, evidence)
values ('run_failed', 'run_failed:1', 'daily_refresh', '1', '{}')
"""
PROMOTION = "insert into promotions (network, decision, round, gates) values ('paper', 'refused', 'r', '[]')"


def run(url: str, *statements: str) -> list:
    with psycopg.connect(url) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        cursor = connection.execute(statements[-1])
        return cursor.fetchall() if cursor.description else []


def refused(url: str, *statements: str) -> bool:
    try:
        run(url, *statements)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
        return True
    return False


def test_no_public_table_is_without_row_security_or_open_to_anon(database):
    assert run(database.urls.owner, OPEN_TABLES) == []


def test_the_gate_finds_a_planted_leak(database):
    run(database.urls.owner, "create table public.leak (id int); grant select on public.leak to anon")

    assert run(database.urls.owner, OPEN_TABLES) == [("leak",)]


def test_the_tables_are_all_there(database):
    tables = run(
        database.urls.owner,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
    )

    assert {name for (name,) in tables} == set(RESEARCH_TABLES + LIVE_TABLES)


def test_a_table_made_later_is_closed_to_the_platforms_roles(database):
    run(database.urls.owner, "create table public.later (id int)")

    (rights,) = run(
        database.urls.owner,
        "select has_table_privilege('anon', 'later', 'select')"
        " , has_table_privilege('authenticated', 'later', 'select')",
    )

    assert rights == (False, False)


def test_no_service_owns_a_table_or_passes_row_security(database):
    roles = run(
        database.urls.owner,
        "select rolname from pg_roles where rolname like 'helios\\_%'"
        " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
    )
    owned = run(database.urls.owner, "select relname from pg_class where relowner::regrole::text like 'helios\\_%'")

    assert roles == []
    assert owned == []


@pytest.mark.parametrize("table", RESEARCH_TABLES + LIVE_TABLES)
def test_the_web_role_reads_as_authenticated_and_writes_nothing(database, table):
    url = database.urls.web
    read = f"select * from public.{table}"

    assert refused(url, read)
    assert run(url, "set local role authenticated", read) == []
    assert refused(url, f"delete from public.{table}")
    assert refused(url, "set transaction read write", "set local role authenticated", f"delete from public.{table}")
    assert refused(url, "set local role anon", read)


def test_the_web_role_cannot_become_another(database):
    url = database.urls.web

    for role in ("service_role", "helios_pipeline", "helios"):
        assert refused(url, f"set role {role}")
    assert refused(url, "copy (select 1) to program 'true'")
    assert run(url, "show statement_timeout") == [("5s",)]
    assert run(database.urls.owner, "select rolconnlimit from pg_roles where rolname = 'helios_web'") == [(20,)]


@pytest.mark.parametrize("table", RESEARCH_TABLES + LIVE_TABLES)
def test_anon_reads_nothing(database, table):
    assert refused(database.urls.owner, "set local role anon", f"select * from public.{table}")


@pytest.mark.parametrize("table", RESEARCH_TABLES)
def test_the_engine_writes_no_research_and_reads_only_what_it_may_trade(database, table):
    readable = table in ("promotions", "champions")

    assert refused(database.urls.live, f"insert into public.{table} default values")
    assert refused(database.urls.live, f"delete from public.{table}")
    assert refused(database.urls.live, f"select * from public.{table}") != readable


@pytest.mark.parametrize("table", RESEARCH_TABLES + LIVE_TABLES)
def test_agents_read_and_write_none(database, table):
    assert run(database.urls.agents, f"select * from public.{table}") == []
    assert refused(database.urls.agents, f"insert into public.{table} default values")
    assert refused(database.urls.agents, f"delete from public.{table}")


@pytest.mark.parametrize("table", RESEARCH_TABLES)
def test_even_the_pipeline_removes_nothing(database, table):
    assert refused(database.urls.pipeline, f"delete from public.{table}")
    assert refused(database.urls.pipeline, f"truncate public.{table}")


@pytest.mark.parametrize("table", LIVE_TABLES)
def test_the_pipeline_reads_what_was_traded_and_writes_none(database, table):
    assert run(database.urls.pipeline, f"select * from public.{table}") == []
    assert refused(database.urls.pipeline, f"insert into public.{table} default values")
    assert refused(database.urls.pipeline, f"update public.{table} set account = account")


@pytest.mark.parametrize("table", LIVE_TABLES)
def test_the_engine_replaces_only_rows_that_say_how_things_are_now_and_removes_none(database, table):
    assert run(database.urls.live, f"select * from public.{table}") == []
    assert refused(database.urls.live, f"update public.{table} set account = account") == (table in HAPPENED)
    assert refused(database.urls.live, f"delete from public.{table}")
    assert refused(database.urls.live, f"truncate public.{table}")


def test_rows_reach_readers_through_their_policies(database):
    run(database.urls.pipeline, REPORT)

    assert len(run(database.urls.agents, "select * from walk_forward_reports")) == 1
    assert len(run(database.urls.web, "set local role authenticated", "select * from walk_forward_reports")) == 1
    assert run(database.urls.pipeline, "update walk_forward_reports set report = '{\"a\": 1}' returning round") == [
        ("r",)
    ]


def test_decisions_champions_and_the_ledger_are_never_changed(database):
    run(database.urls.pipeline, PROMOTION)

    for table, column in (("promotions", "gates"), ("champions", "reason"), ("ledger_entries", "round")):
        assert refused(database.urls.pipeline, f"update {table} set {column} = {column}")


def test_a_look_is_finished_once_and_nothing_else_of_it_changes(database):
    url = database.urls.pipeline
    run(url, LOOK)

    finish = "update holdout_looks set result = '{}', finished_at = now() returning k"
    assert run(url, finish) == [(1,)]
    assert run(url, finish) == []
    assert refused(url, "update holdout_looks set k = 7")


def test_the_pipeline_asks_for_a_review_and_cannot_answer_it(database):
    run(database.urls.pipeline, REVIEW_REQUEST)

    assert refused(database.urls.pipeline, "update review_requests set state = 'reviewed', reviewed_at = now()")
    assert refused(
        database.urls.pipeline,
        "insert into review_requests (trigger, trigger_key, subject, run_id, evidence, state)"
        " values ('run_failed', 'run_failed:2', 'daily_refresh', '2', '{}', 'running')",
    )


def test_agents_answer_a_review_request_and_change_nothing_that_was_asked(database):
    run(database.urls.pipeline, REVIEW_REQUEST)

    answer = "update review_requests set state = 'not_reviewed', why = 'no_api_key' returning state, why"
    assert run(database.urls.agents, answer) == [("not_reviewed", "no_api_key")]
    for column in ("trigger", "trigger_key", "subject", "partition", "run_id", "evidence", "requested_at"):
        assert refused(database.urls.agents, f"update review_requests set {column} = {column}")


def test_a_review_without_the_time_it_was_given_is_refused(database):
    run(database.urls.pipeline, REVIEW_REQUEST)

    with pytest.raises(psycopg.errors.CheckViolation, match="review_requests_reviewed"):
        run(database.urls.agents, "update review_requests set state = 'reviewed'")


def test_a_promotion_without_a_signed_manifest_is_refused(database):
    with pytest.raises(psycopg.errors.CheckViolation, match="promotions_signed"):
        run(database.urls.pipeline, PROMOTION.replace("refused", "promoted"))


def test_dagsters_role_works_in_its_own_schema_only(database):
    url = database.urls.dagster.replace("+psycopg2", "")

    run(url, "create table mine (id int)")

    assert run(url, "select schemaname from pg_tables where tablename = 'mine'") == [("dagster",)]
    assert refused(url, "select * from public.promotions")
    assert refused(url, "create table public.not_mine (id int)")
    for other in (database.urls.web, database.urls.live, database.urls.pipeline, database.urls.agents):
        assert refused(other, "select * from dagster.mine")


def test_no_service_reaches_the_private_schema_or_the_history(database):
    for url in (database.urls.web, database.urls.live, database.urls.pipeline, database.urls.agents):
        assert refused(url, "create table private.mine (id int)")
        assert refused(url, "select * from supabase_migrations.schema_migrations")
        assert refused(url, "create table public.mine (id int)")


def test_the_platforms_claims_are_readable_in_policies(database):
    (row,) = run(
        database.urls.owner,
        "select set_config('request.jwt.claims',"
        """ '{"sub": "00000000-0000-0000-0000-000000000001", "role": "authenticated"}', true)""",
        "select auth.uid()::text, auth.role(), auth.jwt() ->> 'role'",
    )

    assert row == ("00000000-0000-0000-0000-000000000001", "authenticated", "authenticated")
