import os
import tempfile
from pathlib import Path

import pytest

from helios_pipeline.adapters.postgres import places
from helios_pipeline.adapters.postgres.account import Account
from helios_pipeline.adapters.postgres.places import choose_places
from helios_pipeline.core.errors import DatabaseError

OURSELVES = Account(name="we", identity={})


class Outsider(Account):
    """An account that reaches the system's temporary folder and nothing of ours above it."""

    def can_enter(self, folder):
        return folder.parent == Path(tempfile.gettempdir())


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_files_go_below_the_home(tmp_path):
    found = choose_places(tmp_path / "home", OURSELVES)

    assert found.folder == found.base == tmp_path / "home/postgres"
    assert found.data(18).name == "data-18"
    assert found.folder.stat().st_mode & 0o777 == 0o700


def test_a_home_out_of_reach_has_its_data_in_a_temporary_folder_of_its_own(tmp_path, temporary):
    outsider = Outsider(name="outsider", identity={})

    first = choose_places(tmp_path / "first", outsider)
    second = choose_places(tmp_path / "second", outsider)

    assert first.folder == tmp_path / "first/postgres"
    assert first.base.parent == second.base.parent == temporary
    assert first.base != second.base
    assert first.base.stat().st_mode & 0o777 == 0o711


def test_a_changed_temporary_folder_does_not_hide_the_data(tmp_path, temporary, monkeypatch):
    outsider = Outsider(name="outsider", identity={})
    base = choose_places(tmp_path / "home", outsider).base
    (tmp_path / "other").mkdir()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))

    assert choose_places(tmp_path / "home", outsider).base == base


def test_a_copied_home_does_not_share_the_originals_data(tmp_path, temporary):
    outsider = Outsider(name="outsider", identity={})
    original = choose_places(tmp_path / "original", outsider)
    (tmp_path / "copy/postgres").mkdir(parents=True)
    (tmp_path / "copy/postgres/elsewhere").write_text((original.folder / "elsewhere").read_text())

    assert choose_places(tmp_path / "copy", outsider).base != original.base


@pytest.mark.parametrize("planted", ["link", "writable"])
def test_a_temporary_folder_that_somebody_planted_is_refused(tmp_path, temporary, planted):
    path = temporary / places._temporary_name(tmp_path / "home")
    if planted == "link":
        path.symlink_to(tmp_path)
    else:
        path.mkdir()
        path.chmod(0o777)

    with pytest.raises(DatabaseError, match="expected a folder that only uid"):
        choose_places(tmp_path / "home", Outsider(name="outsider", identity={}))


def test_data_out_of_reach_are_not_forgotten(tmp_path, temporary):
    (tmp_path / "home/postgres/data-18").mkdir(parents=True)

    with pytest.raises(DatabaseError, match="to reach the data there"):
        choose_places(tmp_path / "home", Outsider(name="outsider", identity={}))


def test_a_home_too_deep_for_a_socket_has_it_in_the_temporary_folder(tmp_path, temporary):
    home = tmp_path / ("deep" * 20)

    found = choose_places(home, OURSELVES)

    assert found.base == home / "postgres"
    assert found.sockets.parent.parent == temporary


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "home/postgres").mkdir(parents=True)
    os.chown(tmp_path / "home/postgres", 12345, 12345)

    with pytest.raises(DatabaseError, match="found one of uid 12345"):
        choose_places(tmp_path / "home", OURSELVES)
