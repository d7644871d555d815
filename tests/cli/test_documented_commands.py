"""The command lines that the documentation shows are ones that the command understands."""

import re
import shlex

import pytest
import typer

from helios_pipeline.cli.commands import app
from tests.helios_home import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"`(?:[A-Z_]+=\S+ )*helios ([^`\n]+)`|^ *(?:[A-Z_]+=\S+ |\S*\$ )*helios ([^\n]+)$", re.MULTILINE)
"""A command line among words, or on a line of its own."""

NAMES = ("keys new",)
"""Spoken of, and no lines to type."""


def documented():
    """(page, what follows `helios`) of each; `[why]` stands for a word, `…` for what is left out."""
    for page in PAGES:
        for among, alone in CODE.findall(page.read_text()):
            line = re.sub(r"\[(\w+)\]", r"\1", among or alone.partition("#")[0])
            if not re.search("[…<·|]", line) and line not in NAMES:
                yield page.name, line.strip()


def parse(arguments):
    """Take a command line apart as the command does, without running anything; returns the command that it names."""
    command, name, context = typer.main.get_command(app), "helios", None
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not hasattr(command, "commands") or not context._protected_args:
            return context.command_path
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])


LINES = list(documented())


def test_the_documentation_shows_commands():
    assert len(LINES) > 40
    assert ("live.md", "halt 'a drill'") in LINES
    assert ("live.md", "flatten why") in LINES
    assert ("search.md", "research --grid next.toml") in LINES


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_documented_command_line_is_understood(page, line):
    arguments = shlex.split(line)
    # Help and version end the program.
    named = [each for each in arguments if each not in {"--help", "--version"}]

    assert parse(named).startswith(f"helios {named[0]}" if named and not named[0].startswith("-") else "helios")
