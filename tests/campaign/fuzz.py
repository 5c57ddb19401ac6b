"""Run seeded odd cases on everything public, and print a table of what happened.

``python tests/campaign/fuzz.py --cases 10000 --seed 0``; see README.md beside it.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

# Before scipy and torch are there.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
HERE = Path(__file__).resolve().parent
# The checkout that this file belongs to, whatever is installed.
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

import subjects  # noqa: E402
import torch  # noqa: E402
from trial import BAD, OUTCOMES, Ended, Trial  # noqa: E402

# A case that runs longer hangs.
LIMIT = 60


def run_case(seed, number, only=None):
    """Run one case and return its trial."""
    trial = Trial(seed, number)
    names = [
        name for name in subjects.SUBJECTS if not only or only.lower() in name.lower()
    ]
    if not names:
        raise SystemExit(f"--only {only}: no such subject")
    weights = [subjects.SUBJECTS[name].weight for name in names]
    name = trial.pick(names, weights)
    trial.subject, trial.group = name, subjects.SUBJECTS[name].group
    start = time.perf_counter()
    try:
        subjects.SUBJECTS[name].run(trial)
    except Ended:
        pass
    except TimeoutError:
        trial.find("silently wrong", f"took more than {LIMIT} s")
    except Exception as error:
        trial.error = error
        trial.find("silently wrong", f"outside a call: {type(error).__name__}: {error}")
    trial.seconds = time.perf_counter() - start
    return trial


def _hang(*_):
    raise TimeoutError


def main(argv=None):
    """Run what the options ask for; return 1 if a case fell in a bad column."""
    options = _options(argv)
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _hang)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subjects.warm_up()
        try:
            trials = list(_run(options))
        finally:
            os.chdir(home)
    if options.case is not None:
        return _show(trials[0])
    _print_table(trials)
    bad = _print_findings(trials, options)
    _print_warnings(trials, options)
    return int(bad > 0)


def _options(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="NAME", help="subjects whose name has this")
    parser.add_argument("--case", type=int, help="run this case alone, and tell of it")
    parser.add_argument("--warnings", action="store_true", help="list the warnings")
    return parser.parse_args(argv)


def _run(options):
    numbers = range(options.first, options.first + options.cases)
    if options.case is not None:
        numbers = [options.case]
    for number in numbers:
        signal.alarm(LIMIT)
        yield run_case(options.seed, number, options.only)
        signal.alarm(0)
        if (number + 1) % 500 == 0 and options.case is None:
            print(f"{number + 1} cases", file=sys.stderr, flush=True)


def _show(trial):
    import traceback

    print(f"{trial.subject}: {trial.outcome}  {trial.complaint}")
    print("\n".join(f"  {note}" for note in trial.notes))
    print("\n".join(f"  warning: {text}" for text in dict.fromkeys(trial.warnings)))
    if trial.error is not None:
        traceback.print_exception(trial.error)
    return int(trial.outcome in BAD)


def _print_table(trials):
    counts = defaultdict(Counter)
    for trial in trials:
        counts[trial.group][trial.outcome] += 1
    width = max(map(len, counts), default=0)
    print(" " * width, *(f"{name:>21}" for name in OUTCOMES), f"{'seconds':>9}")
    for group in sorted(counts):
        seconds = sum(t.seconds for t in trials if t.group == group)
        cells = [f"{counts[group][name]:>21}" for name in OUTCOMES]
        print(f"{group:<{width}}", *cells, f"{seconds:>9.0f}")
    total = Counter(trial.outcome for trial in trials)
    cells = [f"{total[name]:>21}" for name in OUTCOMES]
    seconds = sum(t.seconds for t in trials)
    print(f"{'all':<{width}}", *cells, f"{seconds:>9.0f}")


def _print_findings(trials, options):
    """List each distinct bad case once; return how many there are in all."""
    bad = [trial for trial in trials if trial.outcome in BAD]
    groups = defaultdict(list)
    for trial in bad:
        groups[trial.subject, trial.outcome, _pattern(trial.complaint)].append(trial)
    for (subject, outcome, _), found in sorted(groups.items()):
        first = found[0]
        only = f" --only {options.only}" if options.only else ""
        print(f"\n{subject}: {outcome} ({len(found)}): {first.complaint}")
        print(f"  fuzz.py --seed {options.seed} --case {first.number}{only}")
        print("\n".join(f"    {note}" for note in first.notes[:4]))
    return len(bad)


def _pattern(complaint):
    return "".join(c for c in complaint if not c.isdigit())[:90]


def _print_warnings(trials, options):
    seen = Counter()
    first = {}
    for trial in trials:
        for text in dict.fromkeys(map(_pattern, trial.warnings)):
            seen[text] += 1
            first.setdefault(text, trial.number)
    print(f"\n{len(seen)} kinds of unexpected warnings")
    if options.warnings:
        for text, count in seen.most_common():
            print(f"  {count:>5}  {text}  (case {first[text]})")


if __name__ == "__main__":
    sys.exit(main())
