"""Versions that a file was written with, beside those here, and those of a report."""

import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sknoisy import __version__, _versions
from sknoisy._versions import differing_versions, installed_versions, version_report
from sknoisy.command_line import main


def test_the_same_versions_differ_in_nothing():
    versions = installed_versions()
    assert versions["numpy"] == np.__version__ and versions["sknoisy"] == __version__
    assert differing_versions(versions) == ""


def test_others_are_named_and_what_does_not_count_is_not():
    saved = {"numpy": "1.0", "sknoisy": __version__, "torch": None, "evil": "9"}
    said = differing_versions(saved)
    assert said.startswith(f"numpy 1.0 (here {np.__version__}), torch None (here ")
    assert "evil" not in said


def test_a_text_of_a_file_is_cut_and_steers_no_terminal():
    said = differing_versions({"numpy": "\x1b[2J" + "9" * 500})
    assert said.isprintable() and len(said) < 90


def test_a_package_that_is_missing_has_no_version(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def fail(package):
        raise PackageNotFoundError

    monkeypatch.setattr(_versions, "version", fail)
    assert _versions._version.__wrapped__("numpy") is None


def names(requirements):
    """Return the packages of requirements, without sknoisy's own extras."""
    found = {re.match(r"[\w-]+", text)[0] for text in requirements}
    return found - {"sknoisy"}


def test_the_report_knows_what_the_package_can_use():
    path = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    assert names(project["dependencies"]) == set(_versions._REQUIRED)
    tools = ("test", "docs", "dev")
    extras = project["optional-dependencies"]
    used = [names(extras[name]) for name in extras if name not in tools]
    assert set().union(*used) <= set(_versions._OPTIONAL)


def test_the_report_has_a_line_for_each(monkeypatch):
    known = {"sknoisy": "1.2", "torch": "9.9", "pandas": "3.1"}
    monkeypatch.setattr(_versions, "_version", known.get)
    lines = [line.split(maxsplit=1) for line in version_report().splitlines()]
    said = dict(lines[:-1])
    assert said["sknoisy"] == "1.2" and said["python"] == platform.python_version()
    assert said["torch"] == "9.9" and said["scipy"] == "not installed"
    assert said["pandas"] == "3.1" and "polars" not in said
    assert lines[-1][0] == "not" and "polars, pyarrow" in lines[-1][1]


def test_the_command_shows_it_and_needs_no_torch(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == version_report() + "\n"
    assert version_report().splitlines()[0].split() == ["sknoisy", __version__]
    code = "import sys, sknoisy._versions as v; v.version_report(); "
    code += "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
