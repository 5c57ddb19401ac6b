"""Versions that a file was written with, beside those here."""

import numpy as np

from sknoisy import __version__
from sknoisy._versions import differing_versions, installed_versions


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

    from sknoisy import _versions

    def fail(package):
        raise PackageNotFoundError

    monkeypatch.setattr(_versions, "version", fail)
    assert _versions._version.__wrapped__("numpy") is None
