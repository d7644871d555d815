-- What waits for an agent's review: each row is one thing that happened, with the evidence as it was then.

-- Better to fail than to stop everybody else behind us.
set local lock_timeout = '30s';
set local statement_timeout = '60s';

create table public.review_requests (
  request_id bigint generated always as identity primary key,
  trigger text collate "C" not null check (trigger in ('run_failed', 'check_failed', 'walk_forward_report', 'promotion')),
  trigger_key text collate "C" not null unique check (length(trigger_key) between 1 and 200),
  subject text not null,
  partition text,
  run_id text collate "C" not null,
  evidence jsonb not null check (jsonb_typeof(evidence) = 'object' and octet_length(evidence::text) <= 65536),
  requested_at timestamptz not null default now(),
  state text collate "C" not null default 'not_reviewed'
    check (state in ('not_reviewed', 'running', 'reviewed', 'partly_reviewed', 'failed')),
  why text,
  reviewed_at timestamptz,
  constraint review_requests_reviewed check ((state in ('reviewed', 'partly_reviewed')) = (reviewed_at is not null))
);
create index review_requests_by_state on public.review_requests (state, request_id);
comment on table public.review_requests is
  'What waits for an agent''s review. Asking twice for the same thing leaves one row; a row is never removed.';
comment on column public.review_requests.trigger_key is 'Names the occurrence: whoever asks again asks by the same key.';
comment on column public.review_requests.subject is 'The asset, or for a failed run the job.';
comment on column public.review_requests.partition is 'The asset''s partition; null for a run over several or none.';
comment on column public.review_requests.evidence is
  'What the pipeline knew of it then, cut to a bounded size; what was cut is said in place.';
comment on column public.review_requests.why is
  'Why there is no full review; null in a request that nobody has taken up yet.';

alter table public.review_requests enable row level security;
revoke all on public.review_requests from public, anon, authenticated, service_role;
grant select on public.review_requests to authenticated, service_role, helios_agents, helios_pipeline;
create policy readers on public.review_requests for select to authenticated, helios_agents, helios_pipeline using (true);

-- The pipeline asks and can't answer; agents answer and can't change what was asked.
grant insert (trigger, trigger_key, subject, partition, run_id, evidence) on public.review_requests to helios_pipeline;
create policy pipeline_asks on public.review_requests for insert to helios_pipeline with check (true);
grant update (state, why, reviewed_at) on public.review_requests to helios_agents;
create policy agents_answer on public.review_requests for update to helios_agents using (true) with check (true);

create trigger review_requests_notify after insert or update on public.review_requests
  for each statement execute function private.notify_change();
