-- Roles and schemas. On Supabase the platform's parts exist already, so those blocks do nothing there; on any other
-- PostgreSQL (15 to 18) they make what Supabase would bring.

-- Better to fail than to stop everybody else behind us.
set local lock_timeout = '30s';
set local statement_timeout = '60s';

do $$
declare
  platform_role text;
begin
  foreach platform_role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = platform_role) then
      execute format('create role %I nologin noinherit', platform_role);
      if platform_role = 'service_role' then
        begin
          alter role service_role bypassrls;
        exception when insufficient_privilege then
          raise notice 'service_role does not bypass row level security: only a superuser may let it';
        end;
      end if;
    end if;
  end loop;

  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to anon, authenticated, service_role;
    create function auth.jwt() returns jsonb language sql stable set search_path = '' as
      $f$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $f$;
    create function auth.uid() returns uuid language sql stable set search_path = '' as
      $f$ select nullif(auth.jwt() ->> 'sub', '')::uuid $f$;
    create function auth.role() returns text language sql stable set search_path = '' as
      $f$ select auth.jwt() ->> 'role' $f$;
  end if;
end $$;

-- One login role per service, none of which owns a table, so row level security holds for all of them. They have no
-- password, and so no entry, until Helios sets one.
do $$
declare
  service text;
begin
  foreach service in array array['helios_pipeline', 'helios_live', 'helios_agents', 'helios_dagster', 'helios_web'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = service) then
      execute format('create role %I login noinherit', service);
    end if;
    execute format('grant connect on database %I to %I', current_database(), service);
  end loop;
  -- Bulk loads go through a temporary table.
  execute format('grant temporary on database %I to helios_pipeline', current_database());
  -- The owner must be able to back up and repair Dagster's tables, which belong to helios_dagster.
  if not pg_has_role(current_user, 'helios_dagster', 'usage') then
    execute format('grant helios_dagster to %I', current_user);
  end if;
end $$;

-- The dashboard's server reads as `authenticated`, by `set local role` in a transaction, and can do nothing else.
grant authenticated to helios_web;
alter role helios_web connection limit 20;
alter role helios_web set statement_timeout = '5s';
alter role helios_web set idle_in_transaction_session_timeout = '10s';
alter role helios_web set default_transaction_read_only = on;
alter role helios_dagster set search_path = dagster;

-- Neither schema is listed in supabase/config.toml, so no API serves it.
create schema if not exists private;
revoke all on schema private from public;
create schema if not exists dagster;
revoke all on schema dagster from public;
grant usage, create on schema dagster to helios_dagster;

revoke create on schema public from public;
grant usage on schema public to anon, authenticated, service_role;
grant usage on schema public to helios_pipeline, helios_live, helios_agents;

-- Closed by default: later migrations grant what they mean to.
alter default privileges in schema public revoke all on tables from anon, authenticated;
alter default privileges in schema public revoke all on sequences from anon, authenticated;
alter default privileges in schema public revoke execute on functions from anon, authenticated;

create function private.notify_change() returns trigger language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('helios', pg_catalog.json_build_object('table', tg_table_name, 'op', tg_op)::text);
  return null;
end $$;

comment on function private.notify_change() is
  'Tells listeners on channel helios which table changed; they read it again, so the payload stays small.';
