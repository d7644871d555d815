-- What the live engine wrote down: a copy of its local log, record by record, and the few rows that say who trades now.
-- The log is the truth. Columns are the records' fields, so that nothing is lost or renamed on the way here.

-- Better to fail than to stop everybody else behind us.
set local lock_timeout = '30s';
set local statement_timeout = '60s';

-- Who trades an account. A row is taken over when it has expired, or by the home that held it.
create table public.engine_leases (
  account text collate "C" primary key,
  epoch bigint not null check (epoch >= 1),
  holder text not null,
  home text not null,
  acquired_at timestamptz not null,
  renewed_at timestamptz not null,
  expires_at timestamptz not null
);
comment on table public.engine_leases is 'The one engine that may trade an account; its epoch grows with every engine.';
comment on column public.engine_leases.home is
  'Machine and folder whose lock the holder has: a new engine there is alone.';

create table public.engine_modes (
  account text collate "C" primary key,
  mode text collate "C" not null check (mode in ('ACTIVE', 'REDUCING', 'HALTED')),
  who text not null,
  why text not null,
  changed_at timestamptz not null
);
comment on table public.engine_modes is
  'The kill switch; a local file says it too, and the stricter of both holds. Its history is in mode_changes.';

create table public.engine_heartbeats (
  account text collate "C" primary key,
  epoch bigint not null,
  told_at timestamptz not null,
  status jsonb not null check (jsonb_typeof(status) = 'object')
);
comment on table public.engine_heartbeats is 'What each account''s engine last said of itself.';

create table public.journal_positions (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  copied_at timestamptz not null default now(),
  primary key (account, epoch)
);
comment on table public.journal_positions is
  'How far each log is copied: everything of that epoch up to the sequence is here. Written with the rows it speaks of.';

create table public.live_decisions (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  signal_instrument_id text collate "C" not null,
  opened_at timestamptz not null,
  closed_at timestamptz not null,
  decided_at timestamptz not null,
  manifest_hash text collate "C" not null,
  z_price double precision,
  z_funding double precision,
  volatility double precision,
  atr double precision,
  close numeric,
  position_side bigint not null,
  position_lots bigint not null,
  bars_held bigint not null,
  may_enter boolean not null,
  leaving text not null,
  equity numeric not null,
  gross_kept numeric not null,
  open_kept bigint not null,
  mode text collate "C" not null,
  late boolean not null,
  wanted bigint not null,
  outcome text not null,
  lots bigint not null,
  primary key (account, epoch, sequence),
  unique (account, instrument_id, opened_at)
);
create index live_decisions_by_time on public.live_decisions (account, closed_at desc, instrument_id);
comment on table public.live_decisions is
  'One row for each account, instrument and bar, with everything the strategy knew.';

create table public.intents (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  client_order_id text collate "C" not null,
  venue_client_id bigint not null,
  side bigint not null,
  kind text collate "C" not null,
  quantity numeric not null,
  limit_price numeric,
  trigger_price numeric,
  reduce_only boolean not null,
  purpose text collate "C" not null,
  reason text not null,
  boundary timestamptz,
  atr double precision,
  good_til_block bigint,
  intended_at timestamptz not null,
  primary key (account, epoch, sequence),
  unique (account, client_order_id)
);
create index intents_by_time on public.intents (account, intended_at desc, client_order_id);
comment on table public.intents is 'Orders that were about to be sent: durable in the log before anything left.';

create table public.order_events (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  client_order_id text collate "C" not null,
  state text collate "C" not null,
  venue_order_id text collate "C",
  reason text not null,
  occurred_at timestamptz not null,
  primary key (account, epoch, sequence)
);
create index order_events_by_order on public.order_events (account, client_order_id, epoch, sequence);
comment on table public.order_events is 'What became of each order.';

create table public.fills (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  venue_fill_id text collate "C" not null,
  venue_order_id text collate "C" not null,
  client_order_id text collate "C",
  side bigint not null,
  quantity numeric not null,
  price numeric not null,
  fee numeric not null,
  liquidity text collate "C" not null,
  filled_at timestamptz not null,
  primary key (account, epoch, sequence),
  unique (account, venue_fill_id)
);
create index fills_by_time on public.fills (account, filled_at desc, venue_fill_id);
create index fills_by_instrument on public.fills (account, instrument_id, filled_at desc);
create index fills_by_order on public.fills (account, client_order_id);
comment on table public.fills is 'Fills as the venue recorded them, each once; these are summed.';

create table public.inferred_fills (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  client_order_id text collate "C" not null,
  side bigint not null,
  quantity numeric not null,
  price numeric not null,
  inferred_at timestamptz not null,
  primary key (account, epoch, sequence)
);
comment on table public.inferred_fills is 'Fills that a library made up to explain a position; never summed.';

create table public.funding_payments (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  settled_at timestamptz not null,
  rate numeric not null,
  position_quantity numeric not null,
  price numeric not null,
  amount numeric not null,
  primary key (account, epoch, sequence),
  unique (account, instrument_id, settled_at)
);
create index funding_payments_by_time on public.funding_payments (account, settled_at desc, instrument_id);
comment on table public.funding_payments is 'Cash that settlements moved; positive was received.';

create table public.transfers (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  transfer_id text collate "C" not null,
  amount numeric not null,
  reason text not null,
  transferred_at timestamptz not null,
  primary key (account, epoch, sequence),
  unique (account, transfer_id)
);
comment on table public.transfers is 'Cash that came or went other than by trading.';

create table public.mode_changes (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  mode text collate "C" not null,
  who text not null,
  why text not null,
  changed_at timestamptz not null,
  primary key (account, epoch, sequence)
);
comment on table public.mode_changes is 'Every move of the kill switch.';

create table public.champion_changes (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  manifest_hash text collate "C" not null,
  action text collate "C" not null,
  instruments text[] collate "C" not null,
  why text not null,
  changed_at timestamptz not null,
  primary key (account, epoch, sequence)
);
comment on table public.champion_changes is 'Champions that the engine took over or refused.';

create table public.reconciliations (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  agreed boolean not null,
  differences text[] not null,
  height bigint,
  compared_at timestamptz not null,
  primary key (account, epoch, sequence)
);
create index reconciliations_by_time on public.reconciliations (account, compared_at desc);
comment on table public.reconciliations is 'Comparisons of journal, NautilusTrader and venue.';

create table public.account_snapshots (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  quote_balance numeric not null,
  equity numeric not null,
  taken_at timestamptz not null,
  primary key (account, epoch, sequence)
);
create index account_snapshots_by_time on public.account_snapshots (account, taken_at desc);
comment on table public.account_snapshots is
  'The account by the journal''s own books; equity = quote balance + Σ quantity × mark price.';

create table public.bar_differences (
  account text collate "C" not null,
  epoch bigint not null,
  sequence bigint not null,
  journalled_at timestamptz not null,
  instrument_id text collate "C" not null,
  opened_at timestamptz not null,
  made numeric[] not null,
  published numeric[] not null,
  primary key (account, epoch, sequence)
);
comment on table public.bar_differences is
  'Bars made from trades that the closed klines corrected; open, high, low, close, volume.';

do $$
declare
  live_table text;
begin
  foreach live_table in array array[
    'engine_leases', 'engine_modes', 'engine_heartbeats', 'journal_positions', 'live_decisions', 'intents', 'order_events',
    'fills', 'inferred_fills', 'funding_payments', 'transfers', 'mode_changes', 'champion_changes', 'reconciliations',
    'account_snapshots', 'bar_differences'
  ] loop
    execute format('alter table public.%I enable row level security', live_table);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', live_table);
    execute format('grant select on public.%I to authenticated, service_role, helios_agents, helios_pipeline', live_table);
    execute format('grant select, insert on public.%I to helios_live', live_table);
    execute format(
      'create policy readers on public.%I for select to authenticated, helios_agents, helios_pipeline, helios_live'
      ' using (true)', live_table
    );
    execute format('create policy engine_adds on public.%I for insert to helios_live with check (true)', live_table);
    -- Rows that are replaced are written by `insert … on conflict do update`, which is an insert to a statement's trigger.
    execute format(
      'create trigger %I after insert on public.%I for each statement execute function private.notify_change()',
      live_table || '_notify', live_table
    );
  end loop;
end $$;

-- Only rows that say how things are now are replaced; what happened is never changed.
grant update on public.engine_leases, public.engine_modes, public.engine_heartbeats, public.journal_positions
  to helios_live;
create policy engine_replaces on public.engine_leases for update to helios_live using (true) with check (true);
create policy engine_replaces on public.engine_modes for update to helios_live using (true) with check (true);
create policy engine_replaces on public.engine_heartbeats for update to helios_live using (true) with check (true);
create policy engine_replaces on public.journal_positions for update to helios_live using (true) with check (true);
