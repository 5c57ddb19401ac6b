"""Kill trainings at random moments, resume them, and compare with unbroken ones.

``python tests/campaign/kill_and_resume.py --runs 20 --seed 0`` trains each classifier
in a process that is killed by SIGKILL again and again, a third of the times while a
checkpoint is being written; each run ends when the training is whole. Weights, history
and scores must then have the bits of a training without a break, and no draft may be
left. It prints a table of outcomes, and each case of the last three columns.
"""

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "nets")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from stopped_trainings import CLASSIFIERS, DATA, make  # noqa: E402

from sknoisy import _regular_files  # noqa: E402

OUTCOMES = (
    *("valid fit", "clear error", "unclear error", "silently wrong"),
    "changed data or global state",
)
# So long does each step of a write take where kills are to meet it.
SLOW = 0.02


def bits_of(net):
    """Return a digest of all that the training has led to."""
    digest = hashlib.sha256(str(len(net.history)).encode())
    for row in net.history:
        values = {k: v for k, v in row.items() if k not in ("dur", "batches")}
        digest.update(repr(sorted(values.items())).encode())
    for module in (net.module_, net.criterion_):
        for name, tensor in module.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    if hasattr(net, "noise_scores_"):
        digest.update(net.noise_scores_.tobytes())
    return digest.hexdigest()


def write_slowly():
    """Let writes take most of the time of a training, so that kills meet them."""
    real = _regular_files.os.fsync

    def fsync(handle):
        time.sleep(SLOW)
        real(handle)
        time.sleep(SLOW)

    _regular_files.os.fsync = fsync


def train(name, path, *, slow):
    """Start a training in a process; return its number and where it answers."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    warnings.simplefilter("ignore")
    if slow:
        write_slowly()
    try:
        answer = bits_of(make(name, checkpoint=path).fit(*DATA["table"]))
    except ValueError as error:
        answer = f"ValueError: {error}"
    except BaseException as error:
        answer = f"unclear {type(error).__name__}: {error}"
    os.write(writing, answer.encode()[:4000])
    os._exit(0)


def run(name, expected, seconds, rng):
    """Kill and resume a training until it is whole; return outcome and remark."""
    slow = rng.random() < 1 / 3
    with tempfile.TemporaryDirectory() as folder:
        path, n_kills = Path(folder) / "run.ckpt", 0
        while True:
            pid, reading = train(name, path, slow=slow)
            # Later kills come later, or a training would never end.
            time.sleep(rng.random() * seconds * (1 + n_kills / 4))
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            with os.fdopen(reading, "rb") as pipe:
                answer = pipe.read().decode()
            if answer:
                break
            if os.WIFEXITED(status):
                return OUTCOMES[4], "it ended without an answer", n_kills
            n_kills += 1
        left = [entry for entry in os.listdir(folder) if entry != path.name]
        if left:
            return OUTCOMES[4], f"drafts are left: {left}", n_kills
    if answer.startswith("ValueError: checkpoint"):
        # The file of a killed run must be whole: this is no good outcome either.
        return OUTCOMES[2], answer, n_kills
    if len(answer) != len(expected):
        return OUTCOMES[2], answer, n_kills
    return (
        (OUTCOMES[0], "", n_kills)
        if answer == expected
        else (
            OUTCOMES[3],
            "other bits than without a break",
            n_kills,
        )
    )


def main():
    """Run the campaign; return the number of bad cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each classifier")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table, kills, n_bad = Counter(), Counter(), 0
    # The first training of a process loads half of torch.
    make().fit(*DATA["table"])
    for place, name in enumerate(CLASSIFIERS):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            whole = make(name, checkpoint=Path(folder) / "run").fit(*DATA["table"])
        seconds = time.perf_counter() - start
        for number in range(args.runs):
            rng = np.random.default_rng([args.seed, place, number])
            outcome, remark, n_kills = run(name, bits_of(whole), seconds, rng)
            table[name, outcome] += 1
            kills[name] += n_kills
            if outcome in OUTCOMES[2:]:
                n_bad += 1
                print(f"{name} {number}: {outcome}: {remark}", flush=True)
    print(f"{'classifier':16}{'kills':>8}" + "".join(f"{o:>30}" for o in OUTCOMES))
    for name in CLASSIFIERS:
        counts = "".join(f"{table[name, outcome]:30}" for outcome in OUTCOMES)
        print(f"{name:16}{kills[name]:8}{counts}")
    return n_bad


if __name__ == "__main__":
    sys.exit(min(main(), 100))
