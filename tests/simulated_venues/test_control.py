import http.client
import json
from urllib.parse import urlsplit

import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.faults import KINDS, Fault
from simulated_venues.remote import RemoteVenue
from simulated_venues.venue import embedded
from tests.simulated_venues.small_venue import SmallVenue

JSON = {"Content-Type": "application/json"}
MUTE = json.dumps({"kind": "mute"})


@pytest.fixture
def venue():
    with embedded(SmallVenue("binance")) as running:
        yield running


@pytest.fixture
def remote(venue):
    return RemoteVenue(venue.site.url)


def ask(venue, method, path, body=None, **headers):
    """Status and document of a request with exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", venue.site.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        named = {
            "Host": f"127.0.0.1:{venue.site.port}",
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }
        for key, value in named.items():
            connection.putheader(key, value)
        content = (body or "").encode()
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_fault_is_started_listed_and_ended(remote):
    number = remote.start(Fault(kind="slow_response", where="/fapi/*", value=20.0, seconds=60.0))

    (active,) = remote.faults()
    assert (active["number"], active["kind"], active["where"], active["value"]) == (
        number, "slow_response", "/fapi/*", 20.0,
    )  # fmt: skip
    assert 0 < active["seconds_left"] <= 60
    remote.stop(number)
    assert remote.faults() == []
    with pytest.raises(SimulationError, match=f"fault {number}: expected an active one"):
        remote.stop(number)


def test_all_faults_are_ended_at_once(remote):
    remote.start(Fault(kind="mute"))
    remote.start(Fault(kind="drop_messages"))

    remote.stop_all()

    assert remote.faults() == []


def test_the_kinds_are_those_that_the_venue_knows_with_their_meaning(remote):
    told = {each["kind"]: each for each in remote.kinds()}

    assert set(told) == {kind for kind, about in KINDS.items() if "binance" in about.venues}
    assert told["http_status"]["value"] == KINDS["http_status"].value
    assert all(each["meaning"] for each in told.values())


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "expected JSON"),
        ("[1]", "expected JSON"),
        ('{"where": "*"}', "kind"),
        ('{"kind": "mute", "wher": "x"}', "found wher"),
        ('{"kind": "mute", "share": "often"}', "expected JSON"),
        ('{"kind": "mute", "share": 2}', "0 < share"),
        ('{"kind": "earthquake"}', "found 'earthquake'"),
        ('{"kind": "halt_chain"}', "fault at binance: expected one of"),
        ('{"kind": "http_status"}', "value (HTTP status"),
    ],
)
def test_what_is_no_fault_of_this_venue_is_refused_and_starts_nothing(venue, remote, body, part):
    status, said = ask(venue, "POST", "/control/faults", body, **JSON)

    assert status == 400
    assert part in json.loads(said)["error"]
    assert remote.faults() == []


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ({}, 415, "found none"),
        ({"Content-Type": "text/plain"}, 415, "found text/plain"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (JSON | {"Origin": "https://example.com"}, 403, "https://example.com"),
        (JSON | {"Origin": "null"}, 403, "'null'"),
        (JSON | {"Host": "example.com"}, 403, "example.com"),
        (JSON | {"Host": "example.com:80"}, 403, "loopback name"),
        (JSON | {"Host": "127.0.0.1.example.com"}, 403, "loopback name"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/control/faults"), ("DELETE", "/control/faults")])
def test_a_page_of_another_site_can_change_nothing(venue, remote, method, path, headers, status, part):
    active = venue.faults.start(Fault(kind="drop_messages"))

    found, said = ask(venue, method, path, MUTE if method == "POST" else None, **headers)

    assert found == status
    assert part in json.loads(said)["error"]
    assert [each["number"] for each in remote.faults()] == [active]


@pytest.mark.parametrize("path", ["/", "/control/state", "/control/faults", "/control/kinds"])
def test_a_name_that_somebody_pointed_at_this_machine_reads_nothing(venue, path):
    status, _ = ask(venue, "GET", path, Host="rebound.example.com")

    assert status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_venues_own_page_may_change_it(venue, remote, host):
    name = f"{host}:{venue.site.port}"

    status, _ = ask(venue, "POST", "/control/faults", MUTE, Host=name, Origin=f"http://{name}", **JSON)

    assert status == 201
    assert [each["kind"] for each in remote.faults()] == ["mute"]


def test_the_page_needs_nothing_from_elsewhere_and_is_not_shown_in_frames(venue):
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(venue.site.url).port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    connection.close()

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert [word for word in ("http://", "https://", "src=", "@import") if word in page] == []


def test_a_venue_that_does_not_answer_is_named_with_what_to_do():
    with pytest.raises(SimulationError, match=r"one at http://127\.0\.0\.1:9 to answer, found: .*helios simulate"):
        RemoteVenue("http://127.0.0.1:9").state()
