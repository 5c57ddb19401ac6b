"""A few hundred cheap cases of the campaign, see tests/campaign/README.md."""

import sys
from pathlib import Path

import pytest
import torch
from public_estimators import public_estimators

import sknoisy

sys.path.append(str(Path(__file__).parent / "campaign"))

import fuzz
import subjects
from trial import BAD

SEED = 20
# Of each subject so many cases; those that train nets only a few.
N_CASES = {"robust classifiers": 4, "detectors of nets": 4, "nets": 6, "files": 3}


@pytest.fixture(scope="module", autouse=True)
def warm():
    subjects.warm_up()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.fast_cases(5)
@pytest.mark.parametrize("name", subjects.SUBJECTS)
def test_odd_calls_end_in_sound_results_or_clear_errors(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = subjects.SUBJECTS[name].group
    for number in range(N_CASES.get(group, 8)):
        trial = fuzz.run_case(SEED, number, name)
        assert trial.outcome not in BAD, f"{trial.complaint}\n{trial.notes}"


def test_all_that_is_public_is_called():
    source = "".join(p.read_text() for p in Path(fuzz.__file__).parent.glob("*.py"))
    estimators = {cls.__name__ for cls in public_estimators()}
    assert estimators <= set(subjects.SUBJECTS)
    absent = [n for n in sknoisy.__all__ if n not in source and n not in estimators]
    assert not absent
    assert torch.get_num_threads() == 1
