"""The units that are shipped are what systemd understands, and start what there is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helios_home import ROOT

UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
OPTIONS = ("--plain", "--judge")
SANDBOX = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
    "LimitCORE": "0",
}


def directives(unit: Path) -> dict[str, list[str]]:
    """Values of each directive, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_engine_and_watchdog_have_a_unit_each():
    assert [unit.name for unit in UNITS] == ["helios-live.service", "helios-watchdog.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_each_is_locked_in_and_holds_its_secrets_as_credentials(unit):
    found = directives(unit)

    for name, value in SANDBOX.items():
        assert found[name] == [value]
    loaded = {value.partition(":")[0] for value in found["LoadCredential"]}
    named = {value for pair in found["Environment"] for value in re.findall(r"_FILE=%d/(\w+)", pair)}
    assert loaded == named == {value.partition(":")[0] for value in found["SetCredential"]}
    own = {"helios-live": {"dydx_key"}, "helios-watchdog": {"webhook_url", "webhook_secret"}}
    assert loaded == own[unit.stem]


def test_each_starts_what_there_is():
    bin_folder = Path(sys.executable).parent
    for unit in UNITS:
        program, *arguments = directives(unit)["ExecStart"][0].split()
        command = [str(bin_folder / Path(program).name), *(each for each in arguments if each not in OPTIONS), "--help"]

        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

        assert [option for option in OPTIONS if option in arguments and option in said]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_them(tmp_path):
    for unit in UNITS:
        text = re.sub(r"/opt/helios/\S+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(re.sub(r"^Documentation=.*$", "", text, flags=re.MULTILINE))

    said = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)], capture_output=True, text=True
    )

    # Of other units of the machine it may have something to say.
    assert not [line for line in said.stderr.splitlines() if "helios-" in line]
    assert said.returncode == 0
