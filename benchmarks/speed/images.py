"""Training on images: the net over a raw torch loop, and what augmentation costs.

One process, in turns; medians of paired ratios, of CPU time on one thread, or of
wall-clock time on a GPU, for the same network, batches and augmentation.

- "net / raw": an epoch of `NetClassifier` over a loop that shuffles, gathers, scales,
  augments, and steps, with no estimator around it. Goal: at most 1.10.
- "augmentation": share of the raw step that moving and mirroring takes, and what
  RandAugment would take. Goal: under 10 % on a GPU, under 25 % on a CPU.
- "batched / one by one": the same augmentation of whole batches over one image at a
  time in a torch DataLoader, by PIL, and by torchvision if it is installed.

Default: 512 images of 3 x 32 x 32, a residual network of 18 layers with a quarter of
its channels; ``--full``: all channels, more images. On CUDA bfloat16 and channels last,
as the net itself chooses.

``--gpu`` prints seconds of an epoch of PreActResNet-18 on 50,000 images instead, for
cross-entropy (goal on an H200: 1.5), NAL (1.2 times that) and flywheel (2.5 times), or
that there is no GPU. ``--rows`` takes fewer images, also on a CPU.

    OMP_NUM_THREADS=1 python benchmarks/speed/images.py [--gpu]
"""

import argparse
import time

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from sknoisy import FlywheelClassifier, NALClassifier, NetClassifier
from sknoisy.nets import PreActResNet18, crop_and_flip, rand_augment

BATCH = 128
HAS_GPU = torch.cuda.is_available()
GENERATOR = np.random.default_rng(0)
now = time.perf_counter if HAS_GPU else time.process_time


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def net_seconds(X, y, width, device):
    """Time an epoch, the difference between a fit of three and one of one."""
    seconds = []
    for epochs in (3, 1):
        net = NetClassifier(
            PreActResNet18,
            module__width=width,
            max_epochs=epochs,
            device=device.type,
            random_state=0,
        )
        start = now()
        net.fit(X, y)
        synchronise(device)
        seconds.append(now() - start)
    return (seconds[0] - seconds[1]) / 2


class RawLoop:
    """The same training with nothing around it."""

    def __init__(self, X, y, width, device):
        self.device = device
        self.X, self.y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
        network = PreActResNet18(X.shape[1:], 10, width).to(device)
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            network.parameters(), 0.05, 0.9, weight_decay=2e-3, fused=True
        )
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=device.type == "cuda"
        )

    def batch(self, rows):
        """Return the images of a batch as the network takes them."""
        X = self.X[rows].float().div_(255)
        return X.contiguous(memory_format=torch.channels_last)

    def epoch_seconds(self):
        """Time an epoch of training."""
        start = now()
        for rows in torch.randperm(len(self.X)).to(self.device).split(BATCH):
            self.optimizer.zero_grad()
            with self.autocast:
                logits = self.network(crop_and_flip(self.batch(rows)))
                loss = F.cross_entropy(logits, self.y[rows])
            loss.backward()
            self.optimizer.step()
        synchronise(self.device)
        return now() - start

    def augment_seconds(self, augment):
        """Time a pass over all images that only changes them."""
        start = now()
        for rows in torch.arange(len(self.X), device=self.device).split(BATCH):
            augment(self.batch(rows))
        synchronise(self.device)
        return now() - start


class OneByOne(Dataset):
    """Images that are moved and mirrored one at a time."""

    def __init__(self, X, change):
        self.X, self.change = X, change

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.change(self.X[row])


def by_pil(image, rng=GENERATOR):
    picture = ImageOps.expand(Image.fromarray(image.transpose(1, 2, 0)), 4)
    left, top = rng.integers(0, 9, 2)
    picture = picture.crop((left, top, left + 32, top + 32))
    picture = ImageOps.mirror(picture) if rng.random() < 0.5 else picture
    return torch.from_numpy(np.array(picture).transpose(2, 0, 1)).float() / 255


def by_torchvision():
    from torchvision.transforms import v2

    steps = v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return lambda image: steps(torch.from_numpy(image))


def loader_seconds(X, change):
    start = now()
    for _ in DataLoader(OneByOne(X, change), BATCH):
        pass
    return now() - start


def epochs_of_methods(n_images, device):
    """Print seconds of an epoch of three methods, medians of three."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n_images, 3, 32, 32), dtype=np.uint8)
    y = np.arange(n_images) % 10
    methods = {
        "cross-entropy": (NetClassifier, {}, "1.5 s on an H200"),
        "NAL": (NALClassifier, {}, "1.2 of cross-entropy"),
        "flywheel": (FlywheelClassifier, {"warmup_epochs": 1}, "2.5 of cross-entropy"),
    }
    found = {}
    for name, (method, params, goal) in methods.items():
        clf = method(
            PreActResNet18, max_epochs=5, device=device.type, random_state=0, **params
        )
        clf.fit(X, y)
        # The first epochs also compile kernels, and warm up.
        found[name] = np.median(clf.history[2:, "dur"])
        ratio = found[name] / found["cross-entropy"]
        print(f"{name:14s} {found[name]:8.2f} s an epoch  {ratio:5.2f}   goal: {goal}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="all channels, more images")
    parser.add_argument("--gpu", action="store_true", help="epochs of three methods")
    parser.add_argument("--rows", type=int, help="images for --gpu, also on a CPU")
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if HAS_GPU else "cpu")
    if args.gpu:
        if not HAS_GPU and args.rows is None:
            raise SystemExit("no CUDA device here: nothing was measured")
        return epochs_of_methods(args.rows or 50_000, device)
    n_images, width, rounds = 512, 16, 5
    if args.full:
        n_images, width, rounds = (50_000 if device.type == "cuda" else 1024), 64, 7
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    print(f"{n_images} images, {width} channels, {rounds} rounds, {name}")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n_images, 3, 32, 32), dtype=np.uint8)
    y = rng.integers(0, 10, n_images)
    one_by_one = {"PIL": by_pil}
    try:
        one_by_one["torchvision"] = by_torchvision()
    except ImportError:
        print("torchvision is not installed: no comparison with it")
    raw = RawLoop(X, y, width, device)
    raw.epoch_seconds()
    rows = []
    for _ in range(rounds):
        row = {"net": net_seconds(X, y, width, device), "raw": raw.epoch_seconds()}
        row["view"] = raw.augment_seconds(crop_and_flip)
        row["none"] = raw.augment_seconds(lambda X: X)
        row["strong"] = raw.augment_seconds(lambda X: rand_augment(crop_and_flip(X)))
        row |= {key: loader_seconds(X, f) for key, f in one_by_one.items()}
        rows.append(row)

    def median(ratio):
        return np.median([ratio(row) for row in rows])

    print(f"net / raw                   {median(lambda r: r['net'] / r['raw']):.3f}")
    share = median(lambda r: (r["view"] - r["none"]) / r["raw"])
    print(f"augmentation, of the step   {share:.1%}")
    share = median(lambda r: (r["strong"] - r["none"]) / r["raw"])
    print(f"RandAugment, of the step    {share:.1%}")
    for key in one_by_one:
        ratio = median(lambda r, key=key: r["view"] / r[key])
        print(f"batched / one by one, {key:12s} {ratio:.3f}")
    milliseconds = 1000 * median(lambda r: r["raw"]) / np.ceil(n_images / BATCH)
    print(f"a raw step of {BATCH} images took {milliseconds:.1f} ms")


if __name__ == "__main__":
    main()
