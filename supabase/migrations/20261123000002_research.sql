-- What the research pipeline measured and decided. Money is numeric, times are timestamptz, distributions are jsonb.

-- Better to fail than to stop everybody else behind us.
set local lock_timeout = '30s';
set local statement_timeout = '60s';

create table public.ledger_entries (
  key text collate "C" not null check (key ~ '^[0-9a-f]{64}$'),
  market_data text collate "C" not null,
  window_first timestamptz not null,
  window_last timestamptz not null,
  strategy_version text not null,
  instruments text[] collate "C" not null check (cardinality(instruments) > 0),
  costs jsonb not null,
  vol_target double precision not null,
  parameters jsonb not null check (jsonb_typeof(parameters) = 'object'),
  round text not null,
  round_trips bigint not null check (round_trips >= 0),
  blocks bytea not null check (octet_length(blocks) = 384),
  recorded_at timestamptz not null default now(),
  primary key (key, market_data, window_first, window_last),
  constraint ledger_entries_window check (window_first < window_last)
);
create index ledger_entries_by_window on public.ledger_entries (market_data, window_first, window_last);
comment on table public.ledger_entries is
  'Every parameter set ever evaluated on a window of bars: the number of trials that the deflated Sharpe ratio counts.';
comment on column public.ledger_entries.market_data is 'Which bars: "binance", or a simulated market with its seed.';
comment on column public.ledger_entries.instruments is 'Sorted instrument ids.';
comment on column public.ledger_entries.blocks is
  '16 × 3 little-endian float64: days, sum of daily net returns, sum of their squares, for each block of PBO.';

create table public.sweep_rounds (
  round text collate "C" primary key,
  market_data text collate "C" not null,
  instruments text[] collate "C" not null check (cardinality(instruments) > 0),
  window_first timestamptz not null,
  window_last timestamptz not null,
  grid jsonb not null,
  sets bigint not null check (sets >= 0),
  passed bigint not null check (passed between 0 and sets),
  best jsonb,
  distribution jsonb not null check (jsonb_typeof(distribution) = 'object'),
  input_version text not null,
  created_at timestamptz not null default now(),
  constraint sweep_rounds_window check (window_first < window_last)
);
comment on table public.sweep_rounds is 'One optimization round; a repeated round replaces its row.';

create table public.walk_forward_reports (
  round text collate "C" primary key,
  report jsonb not null check (jsonb_typeof(report) = 'object'),
  input_version text not null,
  created_at timestamptz not null default now()
);

create table public.backtest_reports (
  round text collate "C" primary key,
  report jsonb not null check (jsonb_typeof(report) = 'object'),
  input_version text not null,
  created_at timestamptz not null default now()
);

create table public.holdout_looks (
  look_id bigint generated always as identity primary key,
  market_data text collate "C" not null,
  instruments text[] collate "C" not null check (cardinality(instruments) > 0),
  window_first timestamptz not null,
  window_last timestamptz not null,
  candidate_key text collate "C" not null,
  k bigint not null check (k >= 1),
  begun_at timestamptz not null default now(),
  result jsonb,
  finished_at timestamptz,
  constraint holdout_looks_window check (window_first < window_last),
  constraint holdout_looks_finished check ((result is null) = (finished_at is null))
);
create index holdout_looks_by_window on public.holdout_looks (market_data, window_first, window_last);
comment on table public.holdout_looks is
  'Each use of a holdout window, written before its result is computed: a look that crashed has been taken too.';

create table public.promotions (
  promotion_id bigint generated always as identity primary key,
  decided_at timestamptz not null default now(),
  network text collate "C" not null check (network in ('paper', 'testnet', 'mainnet')),
  decision text collate "C" not null check (decision in ('promoted', 'refused')),
  round text not null,
  candidate jsonb,
  gates jsonb not null,
  manifest bytea,
  signature text,
  key_id text,
  unique (promotion_id, network),
  constraint promotions_signed check (
    decision = 'refused' or (candidate is not null and manifest is not null and signature is not null and key_id is not null)
  )
);
create index promotions_by_network on public.promotions (network, promotion_id desc);
comment on table public.promotions is 'Every decision about a candidate, promotions and refusals alike; never changed.';
comment on column public.promotions.manifest is 'Exactly the bytes that were signed.';

create table public.champions (
  champion_id bigint generated always as identity primary key,
  network text collate "C" not null,
  promotion_id bigint not null,
  action text collate "C" not null check (action in ('promoted', 'rolled_back')),
  reason text not null,
  since timestamptz not null default now(),
  foreign key (promotion_id, network) references public.promotions (promotion_id, network)
);
create index champions_by_network on public.champions (network, champion_id desc);
comment on table public.champions is
  'What each network trades: its newest row. Rows are only added; a rollback adds one that points at an earlier promotion.';

do $$
declare
  research_table text;
begin
  foreach research_table in array array[
    'ledger_entries', 'sweep_rounds', 'walk_forward_reports', 'backtest_reports', 'holdout_looks', 'promotions', 'champions'
  ] loop
    execute format('alter table public.%I enable row level security', research_table);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', research_table);
    execute format('grant select on public.%I to authenticated, service_role, helios_agents', research_table);
    execute format('grant select, insert on public.%I to helios_pipeline', research_table);
    execute format(
      'create policy readers on public.%I for select to authenticated, helios_agents, helios_pipeline using (true)',
      research_table
    );
    execute format('create policy pipeline_adds on public.%I for insert to helios_pipeline with check (true)', research_table);
  end loop;
end $$;

-- Only a round's own results are replaced; ledger, decisions and champions are never changed.
grant update on public.sweep_rounds, public.walk_forward_reports, public.backtest_reports to helios_pipeline;
create policy pipeline_replaces on public.sweep_rounds for update to helios_pipeline using (true) with check (true);
create policy pipeline_replaces on public.walk_forward_reports for update to helios_pipeline using (true) with check (true);
create policy pipeline_replaces on public.backtest_reports for update to helios_pipeline using (true) with check (true);

-- A look's result is written once.
grant update (result, finished_at) on public.holdout_looks to helios_pipeline;
create policy pipeline_finishes on public.holdout_looks for update to helios_pipeline
  using (result is null) with check (result is not null);

-- The engine reads what it may trade, and nothing else of the research.
grant select on public.promotions, public.champions to helios_live;
create policy engine_reads on public.promotions for select to helios_live using (true);
create policy engine_reads on public.champions for select to helios_live using (true);

create trigger sweep_rounds_notify after insert or update on public.sweep_rounds
  for each statement execute function private.notify_change();
create trigger walk_forward_reports_notify after insert or update on public.walk_forward_reports
  for each statement execute function private.notify_change();
create trigger backtest_reports_notify after insert or update on public.backtest_reports
  for each statement execute function private.notify_change();
create trigger promotions_notify after insert on public.promotions
  for each statement execute function private.notify_change();
create trigger champions_notify after insert on public.champions
  for each statement execute function private.notify_change();
