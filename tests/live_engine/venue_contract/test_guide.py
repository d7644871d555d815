"""The adapter guide names what the suite and the registry really hold."""

import ast
import re
from dataclasses import fields
from pathlib import Path

from live_engine.venues import Venue

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "adapters.md").read_text()


def test_the_guide_lists_every_test_of_the_contract():
    tree = ast.parse((Path(__file__).parent / "test_contract.py").read_text())
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]

    assert re.findall(r"\| `(test_\w+)` \|", GUIDE) == tests


def test_the_guide_shows_every_part_of_an_entry():
    assert set(re.findall(r"^    (\w+)=_?\S+,  #", GUIDE, re.MULTILINE)) == {each.name for each in fields(Venue)}


def test_files_that_the_guide_names_are_there():
    named = {
        *(ROOT / "helios_pipeline" / name for name in re.findall(r"`(adapters/\w+/\w+\.py)`", GUIDE)),
        *(ROOT / name for name in re.findall(r"`((?:helios_pipeline|tests|live_engine)/[\w/]+\.py)`", GUIDE)),
        *(ROOT / name for name in re.findall(r"`(docs/\w+\.md)`", GUIDE)),
    }

    assert {str(path) for path in named if not path.exists()} == set()
