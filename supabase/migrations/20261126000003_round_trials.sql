-- N of the ledger when a round was made: what its best Sharpe ratio had to be compared with then.

-- Better to fail than to stop everybody else behind us.
set local lock_timeout = '30s';
set local statement_timeout = '60s';

alter table public.sweep_rounds add column trials bigint not null default 0;
comment on column public.sweep_rounds.trials is
  'N of the ledger on this window when the round was first stored: its own sets, those before, and those of folds.';
comment on table public.sweep_rounds is
  'One optimization round; a repeated round replaces its results, and keeps when it was made and N of then.';

update public.sweep_rounds as made set trials = greatest(made.sets, (
  select count(distinct entry.key) from public.ledger_entries as entry
  where entry.market_data = made.market_data
    and entry.instruments && made.instruments
    and entry.window_first < made.window_last and entry.window_last > made.window_first
    and entry.recorded_at <= made.created_at
));
-- Whoever stores a round has counted it. The rows above hold this already, so nothing has to be scanned.
alter table public.sweep_rounds add constraint sweep_rounds_trials check (trials >= sets) not valid;
