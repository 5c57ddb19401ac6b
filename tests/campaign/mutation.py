"""Do the tests notice mistakes? Mutants of pure code, against the tests that mirror it.

``python tests/campaign/mutation.py --mutants 400 --seed 0`` draws mutants (see
`mutants.py`) of each file below, runs that file's tests on each, and prints how many
were killed, how many survived and how many timed out, and each survivor as a diff. A
survivor is a missing test, dead code, or a change that changes nothing.

The tests of a file are collected once; each mutant is a fork of that process in which
the function's code is replaced, so most take a fraction of a second. Slow tests are
left out, and the quickest come first. Only what runs in the process counts: a mutant is
not seen by subprocesses, nor by code that was called when the file was imported.
"""

import argparse
import ast
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from types import CodeType, FunctionType

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from mutants import difference, mutants_of, mutated, sample  # noqa: E402

# The tests that mirror a file.
MIRRORS = {
    "losses/_bootstrap.py": ["losses/test_bootstrap.py"],
    "losses/_clustering.py": ["losses/test_clustering.py"],
    "losses/_contrastive.py": ["losses/test_contrastive.py"],
    "losses/_cores.py": ["losses/test_cores_loss.py"],
    "losses/_correction.py": ["losses/test_correction.py"],
    "losses/_dividemix.py": ["losses/test_dividemix.py"],
    "losses/_early_learning.py": ["losses/test_early_learning.py"],
    "losses/_flywheel.py": ["losses/test_flywheel.py"],
    "losses/_flywheel_steps.py": ["losses/test_flywheel.py"],
    "losses/_masking.py": ["losses/test_mask_patches.py"],
    "losses/_noise_attention.py": ["losses/test_noise_attention.py"],
    "losses/_reduction.py": ["losses/test_reduction.py"],
    "losses/_robust.py": ["losses/test_robust.py"],
    "mixture/_beta.py": ["mixture/test_beta_mixture.py"],
    "mixture/_binning.py": ["mixture/test_binning.py"],
    "mixture/_dask.py": ["mixture/test_splitter_dask.py"],
    "mixture/_gaussian.py": ["mixture/test_gaussian.py"],
    "mixture/_small_loss.py": ["mixture/test_small_loss_splitter.py"],
    "mixture/_splitter.py": [
        *("mixture/test_loss_splitter.py", "mixture/test_splitter_input.py"),
        *("mixture/test_splitter_pieces.py", "mixture/test_splitter_dask.py"),
    ],
    "noise/_asymmetric.py": ["noise/test_asymmetric.py"],
    "noise/_class_conditional.py": ["noise/test_class_conditional.py"],
    "noise/_instance.py": ["noise/test_instance_noise.py"],
    "noise/_margin.py": ["noise/test_margin_noise.py"],
    "noise/_report.py": ["noise/test_noise_report.py"],
    "noise/_transition.py": ["noise/test_transition.py"],
    "nets/_batches.py": ["nets/test_net_batches.py"],
}
# Of every file: defaults are the documented ones.
OF_ALL = ["test_documented_defaults.py"]
OUTCOMES = ("killed", "survived", "timed out")
# What nearly all tests import.
HEAVY = ("torch", "skorch", "scipy.stats", "pandas", "polars", "imblearn.pipeline")
# Beside what the tests take on the file as it is.
SECONDS_MORE = 10
# The exit status of a fork whose mutant could not be put in.
NOT_MADE = 3


def functions_in_memory(path):
    """Return all function objects whose code is that of a file."""
    return [
        found
        for found in gc.get_objects()
        if type(found) is FunctionType and found.__code__.co_filename == path
    ]


def replace_code(path, source, mutant, functions):
    """Put the code of a mutant into the function that has been imported."""
    tree, node = mutated(source, mutant)
    code = _code_of(compile(tree, path, "exec"), node)
    targets = [
        found
        for found in functions
        if found.__code__.co_qualname == code.co_qualname
        and found.__code__.co_firstlineno == code.co_firstlineno
    ]
    if not targets:
        raise LookupError(f"{mutant.function} was not found in memory")
    if targets[0].__code__.co_freevars != code.co_freevars:
        # A method whose ``super()`` is gone must still fit its cell.
        node.body[:0] = ast.parse("if False: __class__").body
        tree = ast.fix_missing_locations(tree)
        code = _code_of(compile(tree, path, "exec"), node)
    for function in targets:
        function.__code__ = code
        _replace_defaults(function, node)


def _code_of(module, node):
    """Return the code of a function in that of its file."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    pending = [module]
    while pending:
        code = pending.pop()
        if code.co_name == node.name and code.co_firstlineno == first:
            return code
        pending += [c for c in code.co_consts if isinstance(c, CodeType)]
    raise LookupError(node.name)


def _replace_defaults(function, node):
    """Take over defaults that are constants; others are the imported ones."""

    def value_of(default, present):
        try:
            return ast.literal_eval(default)
        except ValueError:
            return present

    if function.__defaults__:
        pairs = zip(node.args.defaults, function.__defaults__, strict=True)
        function.__defaults__ = tuple(value_of(new, old) for new, old in pairs)
    for argument, default in zip(
        node.args.kwonlyargs, node.args.kw_defaults, strict=True
    ):
        if default is not None:
            present = function.__kwdefaults__[argument.arg]
            function.__kwdefaults__[argument.arg] = value_of(default, present)


class Trials:
    """Run the collected tests once as they are, then once for each mutant."""

    def __init__(self, path, mutants):
        self.path, self.mutants = path, mutants
        self.source = Path(path).read_text()
        self.outcomes = []
        self.seconds = {}

    def pytest_runtest_logreport(self, report):
        """Note how long each test takes."""
        known = self.seconds.get(report.nodeid, 0)
        self.seconds[report.nodeid] = known + report.duration
        if report.failed:
            self.session.shouldstop = "one is enough"
            self.failed = True

    def pytest_runtestloop(self, session):
        """Take the place of pytest's own loop."""
        self.session, self.failed = session, False
        self.functions = functions_in_memory(self.path)
        gc.collect()
        gc.freeze()
        base, seconds, used = self._fork(None, limit=600)
        if base != "survived":
            raise SystemExit(f"{self.path}: its tests fail without a mutant")
        session.items.sort(key=lambda item: seconds.get(item.nodeid, 0))
        for mutant in self.mutants:
            limit = int(3 * used + SECONDS_MORE)
            self.outcomes.append(self._fork(mutant, limit)[0])
        return True

    def _fork(self, mutant, limit):
        """Return the outcome in a fork, and the seconds of each test and of all."""
        sys.stdout.flush()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._run(mutant, limit, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        _, status, usage = os.wait4(child, 0)
        used = usage.ru_utime + usage.ru_stime
        if not os.WIFEXITED(status):
            by_time = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
            return ("timed out" if by_time else "killed"), {}, used
        if os.WEXITSTATUS(status) == NOT_MADE:
            raise SystemExit(f"{mutant} could not be put in")
        if os.WEXITSTATUS(status) == 0:
            return "survived", json.loads(said), used
        return "killed", {}, used

    def _run(self, mutant, limit, writing):
        """Run the tests in the child, which never returns."""
        status = 1
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
            signal.alarm(20 * limit)
            if mutant is not None:
                try:
                    replace_code(self.path, self.source, mutant, self.functions)
                except (LookupError, ValueError):
                    status = NOT_MADE
                    raise
            loop = self.session.config.pluginmanager.get_plugin("main")
            try:
                loop.pytest_runtestloop(self.session)
            except pytest.Session.Interrupted:
                pass
            status = int(self.failed)
            os.write(writing, json.dumps(self.seconds).encode())
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)


def run_file(name, mutants):
    """Return the outcomes of the mutants of one file."""
    path = str(ROOT / "sknoisy" / name)
    # Else the mutants of a file that its tests do not import could not be put in.
    importlib.import_module(f"sknoisy.{name.removesuffix('.py').replace('/', '.')}")
    trials = Trials(path, mutants)
    options = ["-q", "-m", "not slow", "--tb=no", "-p", "no:cacheprovider"]
    options += ["-p", "no:xdist", "--rootdir", str(ROOT)]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options += ["--hypothesis-seed=0", "-c", str(ROOT / "pyproject.toml")]
    files = [str(TESTS / file) for file in [*OF_ALL, *MIRRORS[name]]]
    code = pytest.main([*options, *files], plugins=[trials])
    if len(trials.outcomes) != len(mutants):
        raise SystemExit(f"{name}: pytest ended with {code!r}")
    return trials.outcomes


def report(name, outcomes):
    """Print one line of the table."""
    counts = Counter(outcomes)
    cells = "".join(f"{counts[outcome]:11d}" for outcome in OUTCOMES)
    print(f"{name:30s}{len(outcomes):9d}{cells}")


def shares(sizes, n_mutants, least=6):
    """Return how many mutants each file gets: by its number, but at least six."""
    total = sum(sizes.values())
    return {
        name: min(size, max(least, round(n_mutants * size / total)))
        for name, size in sizes.items()
    }


def in_a_fork(function, *arguments):
    """Return what a function returns in a fork, so that each file starts afresh."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            os.write(writing, json.dumps(function(*arguments)).encode())
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if status == 0 else None


def without_mirror():
    """Return the files of the folders that `MIRRORS` does not name."""
    folders = {Path(name).parent for name in MIRRORS} - {Path("nets")}
    files = [file for at in folders for file in (ROOT / "sknoisy" / at).glob("_*.py")]
    names = {file.relative_to(ROOT / "sknoisy").as_posix() for file in files}
    return sorted(n for n in names - MIRRORS.keys() if not n.endswith("__init__.py"))


def main():
    """Draw, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a file's name")
    parser.add_argument("--at", type=int, help="only mutants at this line")
    options = parser.parse_args()
    if missing := without_mirror():
        raise SystemExit(f"MIRRORS must name the tests of {missing}")
    sources = {name: (ROOT / "sknoisy" / name).read_text() for name in MIRRORS}
    all_mutants = {name: mutants_of(source) for name, source in sources.items()}
    counts = shares({n: len(m) for n, m in all_mutants.items()}, options.mutants)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import_once()
    results = {}
    for name in (name for name in MIRRORS if options.only in name):
        drawn = sample(all_mutants[name], counts[name], options.seed)
        if options.at is not None:
            drawn = [m for m in all_mutants[name] if m.line == options.at]
        found = in_a_fork(run_file, name, drawn)
        if found is None:
            raise SystemExit(f"{name} could not be run")
        results[name] = found
        for mutant, outcome in zip(drawn, found, strict=True):
            if outcome != "killed":
                print(f"{outcome}: {name}:{mutant.line} {mutant.function}")
                print(difference(sources[name], mutant) + "\n", flush=True)
    print(f"{'file':30s}{'mutants':>9s}" + "".join(f"{o:>11s}" for o in OUTCOMES))
    for name, outcomes in results.items():
        report(name, outcomes)
    report("all", [o for outcomes in results.values() for o in outcomes])


def import_once():
    """Import what nearly all tests need, but nothing of the package."""
    for name in HEAVY:
        importlib.import_module(name)
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    # No time is spent on making a counterexample smaller, and a busy machine, on which
    # examples are drawn slowly, kills no mutant.
    hypothesis.settings.register_profile(
        "mutation",
        phases=phases,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")


if __name__ == "__main__":
    main()
