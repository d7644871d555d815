"""What helios.toml describes appears in the UI by itself: its instruments, and the round that would be run now."""

import dagster as dg

from assets.partitions import INSTRUMENTS, ROUNDS
from assets.research import Research
from assets.rounds import plan_round
from helios_pipeline.core.errors import HeliosError
from jobs.abandoned import end_abandoned_runs
from sensors.status import default_sensor_status, sensor_seconds


@dg.sensor(
    name="settings",
    minimum_interval_seconds=sensor_seconds(),
    default_status=default_sensor_status(),
    description="Adds the instruments of helios.toml and the round it describes to what can be chosen; starts nothing.",
)
def follow_settings(context: dg.SensorEvaluationContext, research: dg.ResourceParam[Research]) -> dg.SensorResult:
    """Partitions that the settings name and the instance does not know."""
    instance = context.instance
    said = [f"run {run_id} ended with its process" for run_id in end_abandoned_runs(instance)]
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    known = instance.get_dynamic_partitions(str(INSTRUMENTS.name))
    new = [each for each in research.settings.research.instruments if each not in known]
    # An instrument without tick and lot can't be made any more; what is stored of it stays.
    gone = sorted(set(known) - {each.id for each in research.settings.instruments})
    if new:
        requests.append(INSTRUMENTS.build_add_request(new))
    if gone:
        requests.append(INSTRUMENTS.build_delete_request(gone))
    try:
        name = plan_round(research).name
    except HeliosError as error:
        said.append(f"no round yet: {error}")
    else:
        if not instance.has_dynamic_partition(str(ROUNDS.name), name):
            requests.append(ROUNDS.build_add_request([name]))
            said.append(f"round {name} can be run")
    said += [f"{each} added" for each in new] + [f"{each} removed" for each in gone]
    return dg.SensorResult(
        dynamic_partitions_requests=requests,
        skip_reason="; ".join(said) or "instruments and round are as helios.toml says",
    )
