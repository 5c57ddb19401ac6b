"""The arrays of this folder are those that its scripts make, without the package."""

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("make_*.py"))


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_makes_its_file(script):
    made = importlib.import_module(script.stem).make()
    with np.load(HERE / f"{script.stem.removeprefix('make_')}.npz") as archive:
        stored = dict(archive)
    assert made.keys() == stored.keys()
    for name, values in stored.items():
        np.testing.assert_allclose(made[name], values, rtol=1e-5, atol=1e-9)
        assert np.asarray(made[name]).dtype == values.dtype


def test_each_file_has_a_script_and_all_are_small():
    files = sorted(HERE.glob("*.npz"))
    assert [f"make_{file.stem}" for file in files] == [s.stem for s in SCRIPTS]
    assert sum(file.stat().st_size for file in files) < 1_500_000


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_numbers_are_computed_without_the_package(script):
    tree = ast.parse(script.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"numpy", "pathlib", "scipy", "sklearn"}
