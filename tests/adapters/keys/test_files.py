import json
import os
import stat
from pathlib import Path

import pytest

from helios_pipeline.adapters.keys.files import load_key, new_key
from helios_pipeline.core.errors import ManifestError


@pytest.mark.parametrize("purpose", ["pipeline", "operator"])
def test_a_new_key_is_loaded_again(tmp_path: Path, purpose) -> None:
    public = new_key(tmp_path / "deep" / "key.json", purpose)
    key = load_key(tmp_path / "deep" / "key.json")

    assert key.public == public
    assert key.public.purpose == purpose
    assert public.verifies(key.sign(b"data"), b"data")


def test_a_new_key_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new_key(tmp_path / "key.json", "pipeline")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "key.json"]


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("mine")

    with pytest.raises(ManifestError, match=f"expected nothing at {path}"):
        new_key(path, "pipeline")
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ManifestError, match="expected to write"):
        new_key(tmp_path / "file" / "sub" / "key.json", "pipeline")


def test_the_file_says_for_which_networks_the_key_may_sign(tmp_path: Path) -> None:
    new_key(tmp_path / "pipeline.json", "pipeline")

    assert json.loads((tmp_path / "pipeline.json").read_text())["networks"] == ["paper"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.json"
    new_key(path, "pipeline")
    path.chmod(mode)

    with pytest.raises(ManifestError, match=rf"expected mode 0600.* found {mode:04o}\. Run `chmod 600 {path}`"):
        load_key(path)


@pytest.mark.parametrize("change", [{"purpose": "friend"}, {"private_key": "00"}, {"public_key": "operator:ed25519:"}])
def test_a_damaged_key_is_refused_without_showing_it(tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "key.json"
    new_key(path, "operator")
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **change}))

    with pytest.raises(ManifestError, match="found it damaged") as error:
        load_key(path)
    assert values["private_key"] not in str(error.value)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("not json")
    path.chmod(0o600)

    with pytest.raises(ManifestError, match="found it damaged"):
        load_key(path)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"found none\. Make it with `helios keys new`"):
        load_key(tmp_path / "key.json")


def test_a_folder_in_place_of_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="expected a file that can be read"):
        load_key(tmp_path)
