"""constraints.txt is the one place with versions; pyproject.toml, environment.yml and the installed ones agree."""

import importlib.metadata
import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = [
    Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
]
PINS = {canonicalize_name(r.name): r.specifier for r in CONSTRAINTS}
DEPENDENCIES = [
    requirement
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    if (requirement := Requirement(line)).name != PROJECT["name"]  # an extra of its own
]


def pinned_version(name: str) -> str:
    (specifier,) = PINS[canonicalize_name(name)]
    return specifier.version


def test_constraints_are_exact_and_name_each_package_once() -> None:
    assert [str(r) for r in CONSTRAINTS if re.fullmatch(r"==[\w.]+", str(r.specifier)) is None] == []
    assert len(PINS) == len(CONSTRAINTS)


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_every_pinned_package_runs_on_each_python_that_set_up_takes(python: str) -> None:
    """Distributions keep an early patch version for years: a pin that wants a later one ends their set-up."""
    assert python in SpecifierSet(PROJECT["requires-python"])
    found = [one for one in importlib.metadata.distributions() if canonicalize_name(one.name) in PINS]
    wanted = {one.name: one.metadata.get("Requires-Python") for one in found}
    assert {name: spec for name, spec in wanted.items() if python not in SpecifierSet(spec or "")} == {}
    assert len(found) > len(PINS) / 2


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=lambda r: r.name)
def test_each_dependency_is_pinned_to_a_version_that_pyproject_admits(requirement: Requirement) -> None:
    assert canonicalize_name(requirement.name) in PINS
    assert requirement.specifier.contains(pinned_version(requirement.name))


def test_what_is_installed_is_what_is_pinned() -> None:
    """A local build (2.13.0+cpu) counts as the version that it is a build of.

    The first of two counts, as in an import: setuptools appends its own copies of packages to sys.path.
    """
    found = reversed(list(importlib.metadata.distributions()))
    installed = {canonicalize_name(d.name): d.version for d in found}
    wrong = [f"{n} {installed[n]}" for n in PINS.keys() & installed.keys() if not PINS[n].contains(installed[n], True)]
    assert wrong == []
    assert {canonicalize_name(d.name) for d in DEPENDENCIES} - installed.keys() == set()


def test_torch_and_torchvision_are_a_pair() -> None:
    """torchvision 0.(n + 15) is made for torch 2.n."""
    torch, vision = (pinned_version(name).split(".") for name in ("torch", "torchvision"))
    assert (torch[0], int(vision[1])) == ("2", int(torch[1]) + 15)


def test_conda_takes_python_from_the_same_range_and_everything_else_from_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert packages == {"pip": ["-c constraints.txt", "-e .[dev]"]}


def test_the_set_up_script_offers_the_pythons_that_pyproject_admits() -> None:
    script = (ROOT / "scripts" / "setup.py").read_text()
    offered = re.findall(r'"(3\.\d+)"', script.partition("VERSIONS = (")[2].partition(")")[0])
    admitted = SpecifierSet(PROJECT["requires-python"])
    assert offered == [f"3.{minor}" for minor in range(30) if admitted.contains(f"3.{minor}")]


def test_binder_and_the_container_take_a_python_that_pyproject_admits_and_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    assert environment["dependencies"][1:] == ["pip"]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    image, _, tag = container["image"].partition(":")
    binder = environment["dependencies"][0].removeprefix("python=")
    assert image == "python" and tag.split("-")[0] == binder
    assert SpecifierSet(PROJECT["requires-python"]).contains(binder)
    script = ROOT / "binder" / "postBuild"
    assert "pip install --no-cache-dir -c constraints.txt -e .\n" in script.read_text()
    assert "assets fetch\n" in script.read_text() and os.access(script, os.X_OK)
    assert container["postCreateCommand"] == "python scripts/setup.py"
