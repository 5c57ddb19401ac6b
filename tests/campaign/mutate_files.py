"""Change saved files and checkpoints, load each in a process of its own, and use it.

``python tests/campaign/mutate_files.py --cases 2000 --seed 0`` prints a table of
outcomes by the kind of change, and each case of the last columns with its number;
``--only NUMBER`` runs one again. Damaged files keep their checksum: they must be
refused, or say the same. Forged ones have a right checksum, as an attacker's would:
they may say anything, fail in any way, or reach a limit of time or memory when they are
used, but may neither crash, nor run code, nor change any state.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("persistence", "nets", "campaign", ".")]

import file_subjects as subjects  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from file_changes import CHECKPOINTS, DAMAGES, FORGERIES  # noqa: E402
from sealed_files import unpack  # noqa: E402

import sknoisy  # noqa: E402

OUTCOMES = (
    *("valid fit", "clear error", "error in use", "over a limit"),
    *("unclear error", "silently wrong", "changed data or global state"),
)
BAD = OUTCOMES[-3:]
SECONDS, MEMORY = 20, 6 << 30
# What no file may bring about: loading writes nothing and starts nothing.
FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "subprocess.", "socket.", "shutil."),
    *("os.remove", "os.rename", "urllib.", "webbrowser.", "pickle.find_class"),
)


class Watch:
    """Note what a file makes the interpreter do, beside computing."""

    def __init__(self):
        self.is_on = False
        self.seen = []
        sys.addaudithook(self)

    def __call__(self, event, args):
        """Note an event, if it is one that no file may bring about."""
        if not self.is_on:
            return
        mode = args[1] if event == "open" else None
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if args[:1] == (os.devnull,):
            return
        if writes or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {args!r:.200}")


def global_state():
    """Return what a load, fit or prediction must leave as it is.

    scikit-learn draws from numpy's global generator where ``random_state`` is None, and
    a forged file may say so.
    """
    return (
        torch.random.get_rng_state().numpy().tobytes(),
        (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()),
        (repr(warnings.filters), os.getcwd(), sorted(os.environ.items())),
        (sys.getrecursionlimit(), repr(__import__("sklearn").get_config())),
    )


def run_case(subject, kind, content, folder, watch):
    """Load and use a changed file; return outcome and remark."""
    path = folder / "file"
    path.write_bytes(content)
    before = global_state()
    watch.is_on = True
    try:
        outcome, remark = judge(subject, kind, path)
    finally:
        watch.is_on = False
    if watch.seen:
        return OUTCOMES[-1], watch.seen[0]
    if (folder / "done").exists():
        return OUTCOMES[-1], "code of the file has run"
    if global_state() != before:
        return OUTCOMES[-1], "global state"
    return outcome, remark


def judge(subject, kind, path):
    """Return the outcome of a load and of the use after it."""
    load = subject.resume if kind in CHECKPOINTS else sknoisy.load
    try:
        estimator = load(path)
    except ValueError as error:
        text = str(error)
        says = str(path) in text and (
            "cannot be loaded" in text or "checkpoint" in text
        )
        is_clear = says and len(text) < 2500 and text.isprintable()
        return ("clear error" if is_clear else "unclear error"), text
    except MemoryError as error:
        return "over a limit", repr(error)
    except Exception as error:
        return "unclear error", f"{type(error).__name__}: {error}"
    try:
        found = subject.use(estimator)
    except MemoryError as error:
        return "over a limit", repr(error)
    except Exception as error:
        is_forged = kind in FORGERIES
        text = f"{type(error).__name__}: {error}"
        return ("error in use" if is_forged else "unclear error"), text
    if kind not in FORGERIES and not subject.says_the_same(found):
        return "silently wrong", "it says something else"
    return "valid fit", ""


def in_a_process(subject, kind, content, watch):
    """Run a case in a fork, with limits of time and memory; a crash is an outcome."""
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _be_quiet(folder)
            try:
                found = run_case(subject, kind, content, Path(folder), watch)
            except BaseException:
                found = "unclear error", traceback.format_exc()[-500:]
            os.write(writing, json.dumps(found).encode()[:60_000])
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGALRM, signal.SIGXCPU):
            return "over a limit", "time"
        return OUTCOMES[-1], f"killed by {signal.Signals(number).name}"
    try:
        return json.loads(text)
    except ValueError:
        return "unclear error", f"no answer: {text[:80]!r}"


def _be_quiet(folder):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(3 * SECONDS)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.environ["CAMPAIGN_FOLDER"] = folder
    warnings.simplefilter("ignore")


def change(subject, number, seed):
    """Return the kind of change and the changed bytes of a case."""
    rng = np.random.default_rng([seed, number])
    changes = CHECKPOINTS if subject.is_checkpoint else {**DAMAGES, **FORGERIES}
    kind = list(changes)[rng.integers(len(changes))]
    if kind not in FORGERIES:
        return kind, changes[kind](subject.content, rng)
    return kind, changes[kind](*unpack(subject.content), rng)


def main():
    """Run the campaign; return the number of bad cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seconds", type=float, default=1e9, help="CPU time to spend")
    args = parser.parse_args()
    torch.set_num_threads(1)
    watch, table, n_bad = Watch(), Counter(), 0
    made = subjects.make_all()
    numbers = range(args.cases) if args.only is None else [args.only]
    for number in numbers:
        subject = made[number % len(made)]
        kind, content = change(subject, number, args.seed)
        outcome, remark = in_a_process(subject, kind, content, watch)
        table[kind, outcome] += 1
        if outcome in BAD or args.only is not None:
            n_bad += outcome in BAD
            print(f"{number} {subject.name}, {kind}: {outcome}: {remark}", flush=True)
        used = time.process_time() + resource.getrusage(resource.RUSAGE_CHILDREN)[0]
        if used > args.seconds:
            break
    print_table(table)
    return n_bad


def print_table(table):
    """Print the number of cases by kind of change and outcome."""
    heads = [name.replace(" or global state", "") for name in OUTCOMES]
    print(f"{'change':34}" + "".join(f"{head:>15}" for head in heads))
    for kind in [*DAMAGES, *FORGERIES, *CHECKPOINTS]:
        counts = [table[kind, outcome] for outcome in OUTCOMES]
        print(f"{kind:34}" + "".join(f"{count:15}" for count in counts))
    total = [sum(table[k, o] for k in {k for k, _ in table}) for o in OUTCOMES]
    print(f"{'all ' + str(sum(total)):34}" + "".join(f"{count:15}" for count in total))


if __name__ == "__main__":
    sys.exit(min(main(), 100))
