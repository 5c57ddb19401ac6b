"""A folder of 100,000 images: what listing, checking and reading it takes.

The files are links to a few images, so that a folder of any size is made in seconds;
reading is from the cache of the system. Printed are CPU and wall-clock seconds, and the
memory that Python allocates, at its peak and for the result, by tracemalloc in a run of
its own.

- "list" names the files and their classes; nothing of them is read.
- "headers" opens each file and reads its first bytes, ``check="header"``.
- "duplicates" compares contents; all files of this folder are copies of one another,
  the slowest case there is.
- "fetch" decodes batches of 128, resizes them to 256 pixels and cuts out 224.
- "epoch": one of a small network on the images, of the time of "fetch" for as many.

    OMP_NUM_THREADS=1 python benchmarks/speed/image_folder.py [--files 100000]
"""

import argparse
import os
import tempfile
import time
import tracemalloc

import numpy as np
import torch
from PIL import Image
from torch import nn

from sknoisy import NetClassifier
from sknoisy.datasets import CenterCrop, RandomCrop, load_image_folder
from sknoisy.datasets._listing import find_duplicates

torch.set_num_threads(1)
N_CLASSES, N_ORIGINALS, BATCH = 14, 8, 128


class Mean(nn.Module):
    """A linear network on the mean colour, which takes no time of its own."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(3, n_classes)

    def forward(self, X):
        """Return the logits."""
        return self.head(X.mean((2, 3)))


def make_folder(root, n_files, size):
    """Fill a folder with links to photographs of random pixels, smoothed."""
    rng = np.random.default_rng(0)
    originals = []
    for i in range(N_ORIGINALS):
        coarse = rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3))
        image = Image.fromarray(coarse.astype(np.uint8)).resize(size)
        originals.append(os.path.join(root, f".original{i}.jpg"))
        image.save(originals[-1], quality=85)
    for k in range(N_CLASSES):
        os.mkdir(os.path.join(root, f"class{k:02}"))
    for i in range(n_files):
        name = f"class{i % N_CLASSES:02}/{i:07}.jpg"
        os.link(originals[i % N_ORIGINALS], os.path.join(root, name))


def measured(name, run, n_files):
    """Print what a function takes; return its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    tracemalloc.start()
    kept = run()
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    each = 1e6 * cpu / n_files
    print(
        f"{name:20} {cpu:7.2f} s CPU {wall:7.2f} s, {each:6.0f} us CPU a file, "
        f"peak {peak / 2**20:6.1f} MiB, kept {now / 2**20:5.1f} MiB"
    )
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--fetched", type=int, default=1024)
    parser.add_argument("--size", type=int, nargs=2, default=(400, 300))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        make_folder(root, args.files, tuple(args.size))
        print(f"made {args.files:,} files in {time.perf_counter() - start:.1f} s")
        how = {"duplicates": False, "transform": CenterCrop(224, resize=256)}
        how["train_transform"] = RandomCrop(224, resize=256)
        data = measured(
            "list", lambda: load_image_folder(root, check=None, **how), args.files
        )
        measured("list and headers", lambda: load_image_folder(root, **how), args.files)
        paths = [os.path.join(root, name) for name in data.names]
        measured("duplicates", lambda: find_duplicates(paths), args.files)
        rows = np.random.default_rng(0).permutation(len(data))[: args.fetched]
        for n_jobs in (1, 2):
            data.images.n_jobs = n_jobs

            def fetch():
                for start in range(0, len(rows), BATCH):
                    data.images.fetch_changed(rows[start : start + BATCH], start)

            measured(f"fetch, n_jobs={n_jobs}", fetch, len(rows))
        data.images.n_jobs = None
        part = data.take(rows)
        # The labels are judged by nobody: what is timed is reading.
        net = NetClassifier(Mean, max_epochs=1, random_state=0)
        net.fit(part.images[:256], part.labels[:256])
        measured("epoch", lambda: net.fit(part.images, part.labels), len(rows))


if __name__ == "__main__":
    main()
