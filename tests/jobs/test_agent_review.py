"""What is kept of each occurrence: gathered from real runs of a real instance, stored in PostgreSQL."""

import json

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.research import Installation
from helios_pipeline.adapters.postgres.reviews import ReviewRequest, ReviewStore
from helios_pipeline.settings import load_settings
from jobs.agent_review import OP, ReviewConfig, agent_review, gather_evidence
from jobs.evidence import MAX_BYTES, bounded
from sensors.reviews import failed_checks, failed_runs, promotions, walk_forward_reports
from tests.helios_home import SMALL, write_settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MONTHS = dg.StaticPartitionsDefinition(["2025-01", "2025-02", "2025-03"])
PICTURE = "data:image/png;base64," + "A" * 10_000


class WrongPriceError(Exception):
    pass


@dg.asset(partitions_def=MONTHS)
def bars_15m(context: dg.AssetExecutionContext):
    yield dg.AssetMaterialization(asset_key="bars_15m", partition=context.partition_keys[0])
    cause = OSError("https://someone:secret@archive.example: connection refused")
    raise WrongPriceError("close: expected a price above 0, found -1") from cause


@dg.asset(partitions_def=MONTHS, check_specs=[dg.AssetCheckSpec("prices", asset="funding_features")])
def funding_features():
    rows = [dg.TableRecord({"opened_at": f"2025-01-{day:02d}", "close": "-1"}) for day in range(1, 32)]
    yield dg.AssetCheckResult(
        check_name="prices",
        passed=False,
        description="31 of 2976 closes are not above 0.",
        metadata={
            "failures": dg.MetadataValue.table(records=rows * 10),
            "report": dg.MetadataValue.url("/reports/checks/2025-01.html"),
            "picture": dg.MetadataValue.md(f"![closes]({PICTURE})"),
            "share": float("nan"),
        },
    )
    yield dg.MaterializeResult()


@dg.asset(partitions_def=MONTHS)
def walk_forward_report():
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.json({"stitched_sharpe": 1.25}),
            "html": dg.MetadataValue.url("/reports/walk_forward/first.html"),
        }
    )


@dg.asset(partitions_def=MONTHS)
def promoted_parameters():
    gates = [dg.TableRecord({"gate": "pbo", "passed": "False"})]
    return dg.MaterializeResult(
        metadata={"promoted": False, "summary": "Refused: pbo.", "gates": dg.MetadataValue.table(records=gates)}
    )


@pytest.fixture
def record(tmp_path, database):
    """Ticks a sensor and runs the job for what it requests; returns what is stored, oldest first."""
    (tmp_path / "archive").mkdir()
    changes = {"data.archive_url": (tmp_path / "archive").as_uri()}
    write_settings(tmp_path / "helios.toml", SMALL | changes)
    installation = Installation(
        settings=load_settings(tmp_path / "helios.toml", {}), database_url=database.urls.pipeline
    )

    def run(instance, sensor):
        for request in sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests:
            done = agent_review.execute_in_process(
                run_config=request.run_config | QUIET, instance=instance, resources={"installation": installation}
            )
            assert done.success
        return [stored.request for stored in reversed(ReviewStore(database.urls.pipeline).requests(100))]

    return run


def make(instance, asset, **options):
    return dg.materialize([asset], instance=instance, raise_on_error=False, run_config=QUIET, **options)


def test_a_failed_run_is_kept_with_its_error_and_what_was_and_was_not_finished(instance, record):
    tags = {"dagster/asset_partition_range_start": "2025-01", "dagster/asset_partition_range_end": "2025-03"}
    failed = make(instance, bars_15m, tags=tags)

    (request,) = record(instance, failed_runs)

    evidence = request.evidence
    assert (request.trigger, request.run_id) == ("run_failed", failed.run_id)
    assert evidence["run"]["url"] == f"/runs/{failed.run_id}"
    assert request.subject == "bars_15m"
    assert evidence["run"]["tags"] | tags == evidence["run"]["tags"]
    (step,) = evidence["failed_steps"]
    assert step["step"] == "bars_15m"
    assert [error["class"] for error in step["errors"]] == ["WrongPriceError", "OSError"]
    assert "found -1" in step["errors"][0]["message"]
    assert "raise WrongPriceError" in step["errors"][0]["stack"]
    assert "site-packages/dagster" not in step["errors"][0]["stack"]
    assert evidence["assets"] == [
        {
            "asset": "bars_15m",
            "url": "/assets/bars_15m",
            "aimed": 3,
            "finished": ["2025-01"],
            "unfinished": ["2025-02", "2025-03"],
        }
    ]


def test_a_failed_run_of_a_job_is_named_by_its_job(instance, record):
    defs = dg.Definitions(assets=[bars_15m], jobs=[dg.define_asset_job("daily_refresh")])
    job = defs.resolve_job_def("daily_refresh")
    job.execute_in_process(instance=instance, partition_key="2025-02", raise_on_error=False, run_config=QUIET)

    (request,) = record(instance, failed_runs)

    assert (request.subject, request.evidence["run"]["job"]) == ("daily_refresh", "daily_refresh")


def test_a_run_whose_process_was_killed_is_kept_with_what_dagster_says_of_it(instance, record):
    run = create_run_for_test(instance, job_name="daily_refresh", status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "The process that executed this run ended before the run did.")

    (request,) = record(instance, failed_runs)

    assert (request.subject, request.run_id) == ("daily_refresh", run.run_id)
    assert "ended before the run did" in json.dumps(request.evidence)


def test_passwords_in_errors_are_not_kept(instance, record):
    make(instance, bars_15m, partition_key="2025-01")

    (request,) = record(instance, failed_runs)

    assert "secret" not in json.dumps(request.evidence)
    assert "https://someone:***@archive.example" in request.evidence["failed_steps"][0]["errors"][1]["message"]


def test_a_failed_check_is_kept_with_what_it_says_some_failing_rows_and_its_links(instance, record):
    made = make(instance, funding_features, partition_key="2025-01")

    (request,) = record(instance, failed_checks)

    evidence = request.evidence
    assert (request.trigger, request.subject, request.run_id) == ("check_failed", "funding_features", made.run_id)
    assert (evidence["check"], evidence["severity"]) == ("prices", "error")
    assert evidence["description"] == "31 of 2976 closes are not above 0."
    metadata = evidence["metadata"]
    assert metadata["failures"][0] == {"opened_at": "2025-01-01", "close": "-1"}
    assert metadata["failures"][-1] == "… 246 more"
    assert metadata["report"] == "/reports/checks/2025-01.html"
    assert metadata["picture"] == "![closes]([picture])"
    assert metadata["share"] == "nan"


def test_a_walk_forward_report_is_kept_with_its_round_figures_and_links(instance, record):
    make(instance, walk_forward_report, partition_key="2025-01")

    (request,) = record(instance, walk_forward_reports)

    assert (request.trigger, request.partition) == ("walk_forward_report", "2025-01")
    assert request.evidence["metadata"]["summary"] == {"stitched_sharpe": 1.25}
    assert request.evidence["metadata"]["html"] == "/reports/walk_forward/first.html"


def test_a_decision_is_kept_with_its_gates(instance, record):
    make(instance, promoted_parameters, partition_key="2025-01")

    (request,) = record(instance, promotions)

    assert (request.trigger, request.subject) == ("promotion", "promoted_parameters")
    assert request.evidence["metadata"] == {
        "promoted": False,
        "summary": "Refused: pbo.",
        "gates": [{"gate": "pbo", "passed": "False"}],
    }


def test_two_runs_for_one_occurrence_leave_one_request(instance, record):
    make(instance, promoted_parameters, partition_key="2025-01")

    first = record(instance, promotions)
    second = record(instance, promotions)

    assert first == second
    assert len(first) == 1


def test_what_is_no_longer_kept_is_said_to_be_gone(instance):
    made = make(instance, promoted_parameters, partition_key="2025-01")
    tick = promotions.evaluate_tick(dg.build_sensor_context(instance=instance))
    instance.delete_run(made.run_id)

    evidence = gather_evidence(instance, ReviewConfig(**tick.run_requests[0].run_config["ops"][OP]["config"]))

    assert evidence["found"] is False
    assert evidence["run"] == {"run_id": made.run_id, "found": False}


def test_an_unknown_trigger_fails_at_once_and_names_those_there_are(instance):
    config = ReviewConfig(trigger="mood", trigger_key="k", subject="s", run_id="r", event_id=1)

    with pytest.raises(dg.Failure, match=r"expected one of run_failed, check_failed, .* found 'mood'") as raised:
        gather_evidence(instance, config)
    assert raised.value.allow_retries is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(document=st.dictionaries(st.text(), JSON), times=st.sampled_from([1, 100]))
def test_evidence_is_always_json_that_postgresql_takes_and_never_too_large(document, times):
    document = document | {"rows": [document] * times, "log": "é\0\ud800" * 10 * times}

    kept = bounded(document)

    text = json.dumps(kept, allow_nan=False, ensure_ascii=False)
    assert len(text.encode()) <= MAX_BYTES
    assert "\\u0000" not in text


def test_the_database_takes_the_worst_that_evidence_can_hold(database_url):
    numbers = [1e308, 5e-324, -(10**400), float("inf"), float("nan"), 0, -1.5]
    worst = {f"\0\ud800 {each}": [*numbers, "é\0\ud800" * 5000] for each in range(100)}

    request = ReviewRequest(
        trigger="promotion", trigger_key="k", subject="s", partition=None, run_id="r", evidence=bounded(worst)
    )

    assert ReviewStore(database_url).request(request)
    (stored,) = ReviewStore(database_url).requests(1)
    assert stored.request == request


def test_evidence_that_fits_is_kept_as_it_is():
    document = {"a": [1, 2.5, None, True, {"b": "text"}], "c": "x" * 4096}

    assert bounded(document) == document


def test_a_wide_and_deep_document_is_cut_everywhere_alike():
    wide = {f"month {number}": {f"check {each}": "x" * 100 for each in range(50)} for number in range(50)}

    kept = bounded(wide)

    assert len(json.dumps(kept).encode()) <= MAX_BYTES
    assert kept["left_out"].endswith(" more")
    assert kept["month 0"]["check 0"] == "x" * 100
