"""The asset graph as a whole: pinned, loadable anywhere, and never taken from a stranger's folder."""

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helios_pipeline.definitions import defs
from tests.helios_home import ROOT

SNAPSHOT = Path(__file__).with_name("graph.json")
UPDATE = "HELIOS_UPDATE_GRAPH=1 .venv/bin/python -m pytest tests/assets/test_graph.py"
BARE = {"PATH": os.environ["PATH"], "DAGSTER_DISABLE_TELEMETRY": "1"}

NO_NETWORK = """
import socket, sys
def refuse(*_): raise AssertionError("the definitions opened a connection")
socket.socket.connect = refuse
import helios_pipeline.definitions as d
heavy = {"great_expectations", "nautilus_trader", "pandera", "matplotlib", "psycopg2"} & set(sys.modules)
print(len(d.defs.resolve_all_asset_specs()), sorted(heavy))
"""


def described():
    graph, jobs = defs.resolve_asset_graph(), defs.resolve_all_job_defs()
    assets = {}
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key):
        node = graph.get(spec.key)
        assets[spec.key.to_user_string()] = {
            "deps": {dep.asset_key.to_user_string(): str(dep.partition_mapping) for dep in spec.deps},
            "partitions": str(node.partitions_def),
            "backfill": str(node.backfill_policy and node.backfill_policy.policy_type.value),
            "group": spec.group_name,
            "owners": list(spec.owners),
            "kinds": sorted(spec.kinds),
            "code_version": spec.code_version,
            "described": bool(spec.description),
            "tags": {name: value for name, value in spec.tags.items() if not name.startswith("dagster/")},
            "columns": "dagster/column_schema" in spec.metadata,
            "freshness": type(spec.freshness_policy).__name__ if spec.freshness_policy else None,
            "checks": sorted(check.name for check in graph.get_check_keys_for_assets({spec.key})),
        }
    selections = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        for job in jobs
        if not job.name.startswith("__")
    }
    repository = defs.get_repository_def()
    return {
        "assets": assets,
        "jobs": selections,
        "schedules": {each.name: str(each.cron_schedule) for each in repository.schedule_defs},
        "sensors": sorted(each.name for each in repository.sensor_defs),
    }


def test_the_graph_is_the_one_on_record():
    now = json.dumps(described(), indent=2, sort_keys=True) + "\n"
    if os.environ.get("HELIOS_UPDATE_GRAPH"):
        SNAPSHOT.write_text(now)

    recorded = SNAPSHOT.read_text()
    changes = "\n".join(difflib.unified_diff(recorded.splitlines(), now.splitlines(), "on record", "now", lineterm=""))
    assert not changes, f"the asset graph changed; if that is meant, run `{UPDATE}` and commit:\n{changes}"


def test_definitions_load_from_anywhere_without_network_database_or_settings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK], cwd=tmp_path, env=BARE, capture_output=True, text=True, timeout=120
    )

    assert done.stdout.split(maxsplit=1) == ["12", "[]\n"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_workspace_is_valid(tmp_path):
    environment = BARE | {"DAGSTER_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location helios" in done.stdout + done.stderr


@pytest.mark.parametrize("shadow", ["assets/__init__.py", "jobs/__init__.py", "sensors/__init__.py"])
def test_a_folder_that_hides_ours_is_refused_by_name(tmp_path, shadow):
    hiding = tmp_path / shadow
    hiding.parent.mkdir()
    hiding.write_text("")

    done = subprocess.run(
        [sys.executable, "-c", "import helios_pipeline.definitions"],
        cwd=tmp_path,
        env=BARE,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode != 0
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: ")
    assert [part for part in (str(ROOT), str(hiding), "Start from another folder") if part not in said] == []
