"""The outbox keeps every alert until it is delivered, and none twice."""

from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.adapters.webhook import outbox as module
from helios_pipeline.adapters.webhook.outbox import Outbox
from tests.adapters.webhook.alerts import alert


def read_all(outbox):
    return [outbox.read(path) for path in outbox.waiting()]


def test_alerts_wait_in_the_order_in_which_they_were_told_and_over_a_restart(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox")
    for number in (30, 4, 200):
        assert outbox.put(alert(number))

    assert read_all(Outbox.open(tmp_path / "outbox")) == [alert(4), alert(30), alert(200)]


def test_an_alert_that_waits_or_was_delivered_is_not_put_again(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox")
    outbox.put(alert(1))

    assert not outbox.put(alert(1))
    outbox.delivered(outbox.waiting()[0])
    assert not Outbox.open(tmp_path / "outbox").put(alert(1))
    assert outbox.waiting() == []


def test_what_a_killed_process_left_half_written_is_no_alert(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox")
    (tmp_path / "outbox" / ".1.json.unfinished").write_bytes(b'{"alert')

    assert Outbox.open(tmp_path / "outbox").waiting() == []
    assert [path.name for path in outbox.folder.iterdir()] == ["delivered"]


def test_a_damaged_file_is_set_aside_and_holds_up_no_other(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox")
    outbox.put(alert(1))
    outbox.put(alert(2))
    outbox.waiting()[0].write_bytes(b"\x00" * 100)

    assert read_all(outbox) == [None, alert(2)]
    assert read_all(outbox) == [alert(2)]


def test_of_those_delivered_the_newest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    outbox = Outbox.open(tmp_path / "outbox")
    for number in range(1, 7):
        outbox.put(alert(number))
        outbox.delivered(outbox.waiting()[0])

    kept = sorted(path.name for path in (outbox.folder / "delivered").iterdir())
    assert [name[-37:-5] for name in kept] == [f"{number:032x}" for number in (4, 5, 6)]


@given(facts=st.dictionaries(st.text(), st.text()), summary=st.text(), subject=st.text())
def test_every_alert_is_read_back_as_it_was_put(tmp_path_factory, facts, summary, subject):
    outbox = Outbox.open(tmp_path_factory.mktemp("outbox"))
    told = alert(facts=facts, summary=summary, subject=subject)

    outbox.put(told)

    assert read_all(outbox) == [told]
