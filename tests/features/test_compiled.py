import subprocess
import sys
from pathlib import Path

import numba

import helios_pipeline.features.compiled  # noqa: F401 - which puts the folder in use
from helios_pipeline.features import machine_code

WITHOUT_NAUTILUS = """
import sys
import helios_pipeline.simulation.kernel
assert not [name for name in sys.modules if name.startswith(("nautilus_trader", "pandera", "dagster"))]
"""


def test_machine_code_is_cached_by_the_sources_it_was_made_from(tmp_path, monkeypatch):
    for stage in ("features", "strategy", "simulation"):
        (tmp_path / stage).mkdir()
    monkeypatch.setattr(machine_code, "_PACKAGE", tmp_path)
    (tmp_path / "strategy" / "signal.py").write_text("a = 1")
    before = machine_code.cache_folder("/somewhere")

    (tmp_path / "strategy" / "signal.py").write_text("a = 2")

    assert Path(before).parent == Path("/somewhere")
    assert machine_code.cache_folder("/somewhere") != before
    assert Path(machine_code.cache_folder("")).parent == tmp_path / "__pycache__"


def test_the_cache_folder_is_in_use():
    assert Path(numba.config.CACHE_DIR).name == f"helios-{machine_code.sources_digest()}"


def test_the_kernel_loads_no_heavy_library():
    loaded = subprocess.run([sys.executable, "-c", WITHOUT_NAUTILUS], capture_output=True, text=True)

    assert (loaded.returncode, loaded.stderr) == (0, "")
