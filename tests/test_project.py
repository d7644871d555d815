"""The project as a whole: what no file may say, and what its documents promise."""

import ast
import re
import shlex
import subprocess
import tomllib

import pytest
import typer

from helios_pipeline.cli.commands import app
from tests.helios_home import ROOT

REGISTRIES = ("pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org", "registry.yarn" + "pkg.com")
PERSONAL_PATHS = re.compile(r"(?<![\w./$}])/(?:home|root|Users|work|workspace)/[\w.-]+")
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TARGET = re.compile(r"^([a-z-]+):(?!=)(.*)$", re.MULTILINE)


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts():
    """Every tracked text file; a checkout without its history has nothing to say here."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of tracked files here")
    found = {}
    for path in tracked_files():
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def lines_with(texts, wanted):
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if wanted(line)
    ]


def test_no_file_names_a_package_registry(texts):
    assert lines_with(texts, lambda line: any(host in line for host in REGISTRIES)) == []
    assert not (ROOT / "uv.lock").exists()


def test_no_file_holds_the_path_of_somebodys_machine(texts):
    assert lines_with(texts, PERSONAL_PATHS.search) == []


def test_every_requirement_is_pinned_with_hashes():
    for name in ("requirements.lock", "requirements-dev.lock", "benchmarks/vectorbt_env/requirements.lock"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert len(requirements) > 50
        assert [line[:60] for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []


def make_targets():
    return dict(TARGET.findall((ROOT / "Makefile").read_text()))


def test_make_alone_lists_every_target():
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert set(make_targets()) >= {"setup", "demo", "test", "check", "bench"}
    assert [target for target, rest in make_targets().items() if "## " not in rest] == []
    assert {line.split()[0] for line in done.stdout.splitlines()} == set(make_targets())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_a_document_names_exists(document):
    named = re.findall(r"(?:^\s*|`)make ([a-z-]+)", (ROOT / document).read_text(), re.MULTILINE)

    assert set(named) - set(make_targets()) == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_helios_command_that_a_document_shows_exists_with_its_options(document):
    problems = []
    for line in shown_commands((ROOT / document).read_text()):
        problem = misunderstood(shlex.split(line, comments=True)[1:])
        problems += [f"helios {line}: {problem}"] if problem else []

    assert problems == []


def shown_commands(text):
    """Lines of code, and code within lines, that start with `helios`, environment assignments before it left out."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*$", "", text, flags=re.MULTILINE))
    blocks = re.findall(r"^(?:    |\$ )(.+)$", text, re.MULTILINE)
    blocks += [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    for found in [*code, *blocks]:
        command = re.sub(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?", "", found.strip())
        if command.startswith("helios ") and "…" not in command:
            yield command.split("   ")[0].split(" | ")[0]


def misunderstood(arguments):
    """What of a command line the program would not understand; None if it would all of it."""
    command = typer.main.get_command(app)
    known, left = options_of(command), list(arguments)
    while left:
        argument = left.pop(0)
        if argument.startswith("--"):
            name, _, value = argument.partition("=")
            if name not in known:
                return f"no option {argument}"
            if known[name] and not value:
                left[:1] = []
        elif hasattr(command, "commands"):
            if argument not in command.commands:
                return f"no command {argument}"
            command = command.commands[argument]
            known |= options_of(command)
    return None


def options_of(command):
    """Options of a command, and whether each takes a value."""
    found = {"--help": False}
    for parameter in command.params:
        takes_value = not getattr(parameter, "is_flag", False)
        found |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], takes_value)
    return found


def test_a_command_that_does_not_exist_would_be_noticed():
    assert misunderstood(["research", "--from", "2024-01"]) is None
    assert misunderstood(["keys", "new", "operator.json"]) is None
    assert misunderstood(["keys", "old"]) == "no command old"
    assert misunderstood(["simulate", "--seed", "7", "--time-scale=60"]) is None
    assert misunderstood(["simulate", "--seed", "7", "kraken"]) == "no command kraken"
    assert misunderstood(["research", "--form", "2024-01"]) == "no option --form"


def test_every_file_that_a_document_links_to_exists():
    missing = [
        f"{document}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
        if not ((ROOT / document).parent / target).exists()
    ]

    assert missing == []


def test_the_bootstrap_starts_on_old_interpreters():
    source = (ROOT / "bootstrap.py").read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    } | {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported <= {"glob", "hashlib", "os", "shutil", "subprocess", "sys", "pathlib"}


def test_the_wheel_the_types_and_the_import_contracts_know_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    packages = sorted(project["hatch"]["build"]["targets"]["wheel"]["packages"])

    assert sorted(project["mypy"]["files"]) == packages
    assert sorted(project["importlinter"]["root_packages"]) == packages
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == set(packages)


SUITES = {"live_engine/venue_contract"}
"""Tests of no one module: what any venue must pass."""


def test_every_test_lies_where_what_it_tests_lies():
    astray = []
    for folder in sorted(path for path in (ROOT / "tests").rglob("*") if path.is_dir() and path.name != "__pycache__"):
        relative = folder.relative_to(ROOT / "tests")
        if not any((parent / relative).is_dir() for parent in (ROOT, ROOT / "helios_pipeline")):
            astray.append(str(relative))

    assert set(astray) == SUITES
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_continuous_integration_runs_commands_that_the_readme_shows():
    script = (ROOT / ".ci" / "run").read_text()
    run = re.findall(r"^make ([a-z]+)$", script, re.MULTILINE)

    assert {"lint", "demo", "test"} <= set(run) <= set(make_targets())
    assert [target for target in ("demo", "test") if f"make {target}" not in (ROOT / "README.md").read_text()] == []
