"""The whole way of a review, walked by a browser: audit, decide, apply, audit again.

Four data sets: folders of 500 pictures, of CIFAR-10 with the labels of people
(CIFAR-10N "worse") and of scikit-learn's digits, 10 % of whose labels are changed at
random; comments of YouTube with the labels of rules; and a table of scikit-learn with
labels in words, 10 % of them changed as well. ``sknoisy review``
writes the page, Chromium opens it without a window, and the keys for 30 decisions are
typed by a reviewer who knows the true labels. The downloaded decisions go through
``sknoisy apply``, and the result is audited again.

Data are read from the folder ``shared/data`` beside the repository (or ``--data``);
what is not there is skipped and said. ``--screenshots FOLDER`` writes the pictures of
the guide, in which CIFAR-10N may not appear. It needs Chromium, and Pillow for the
pictures. Three minutes of one core.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/review_walk.py
"""

import argparse
import base64
import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _features import BESIDE

import sknoisy
from sknoisy.command_line import main
from sknoisy.datasets import load_image_folder

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "cleaning"))
from browser import Browser

N_DECISIONS = 30
N_PHOTOS = 500
DIGITS = "zero one two three four five six seven eight nine".split()
CIFAR = "airplane automobile bird cat deer dog frog horse ship truck".split()
FOCUSED = "document.activeElement.closest('.row')"


@dataclass
class Case:
    """What is reviewed: its name, the options of the commands, and the truth."""

    name: str
    source: str
    fixed: str
    options: list
    truth: list

    def labels(self, source):
        """Return the labels, and the rows of the truth that they belong to."""
        if Path(source).is_dir():
            data = load_image_folder(source, size=8)
            index = self.index_of(data.names)
            return data.labels, index
        table = pd.read_csv(source, dtype=str)
        return table.iloc[:, -1].to_numpy(), np.arange(len(table))

    def index_of(self, names):
        """Return the rows of the truth for files, which may have moved."""
        own = load_image_folder(self.source, size=8).names
        places = {Path(name).stem: place for place, name in enumerate(own)}
        return [places[Path(name).stem] for name in names]

    def n_wrong(self, source):
        """Return how many labels of a table or folder are wrong."""
        labels, index = self.labels(source)
        return int(np.sum(labels != np.array(self.truth)[index]))


def photos(data):
    """Write pictures into a folder for each given label."""
    with np.load(data / "cifar_labels.npz") as labels:
        clean, given = labels["c10n_clean"], labels["c10n_worse"]
    with np.load(data / "cifar10_jpeg.npz") as images:
        stream, ends = images["jpeg_train"].tobytes(), images["offsets_train"]
    rng = np.random.default_rng(0)
    for i in rng.choice(len(clean), N_PHOTOS, replace=False):
        path = Path("photos", CIFAR[given[i]], f"{i:05}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream[ends[i] : ends[i + 1]])
    names = load_image_folder("photos", size=8).names
    truth = [CIFAR[clean[int(Path(name).stem)]] for name in names]
    return Case("photos", "photos", "photos.fixed", ["--cache", "cache"], truth)


def digits(data):
    """Write digits into a folder for each label, a tenth of them changed at random."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, truth = bunch.images[:N_PHOTOS], np.array(DIGITS)[bunch.target[:N_PHOTOS]]
    injector = sknoisy.SymmetricNoiseInjector(0.1, random_state=0)
    _, given = injector.fit_resample(images.reshape(len(images), -1), truth)
    for i, (image, label) in enumerate(zip(images, given, strict=True)):
        path = Path("digits", label, f"{i:03}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = Image.fromarray((image * 15.9375).astype(np.uint8))
        pixels.resize((64, 64), Image.Resampling.BICUBIC).save(path)
    names = load_image_folder("digits", size=8).names
    truth = [str(truth[int(Path(name).stem)]) for name in names]
    return Case("digits", "digits", "digits.fixed", ["--cache", "cache"], truth)


def comments(data):
    """Write comments with the labels of rules, where one fired."""
    table = pd.read_parquet(data / "wrench_youtube.parquet")
    table = table[(table["split"] == "train") & (table["y_noisy"] >= 0)]
    names = np.array(["ham", "spam"])
    written = pd.DataFrame(
        {"text": table["text"], "label": names[table["y_noisy"].to_numpy()]}
    )
    written.to_csv("comments.csv", index=False)
    truth = names[table["y"].to_numpy()].tolist()
    options = ["--label", "label"]
    return Case("comments", "comments.csv", "comments.fixed.csv", options, truth)


def tumours(data):
    """Write a table with a tenth of its labels, in words, changed at random."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    truth = bunch.target_names[bunch.target.to_numpy()]
    injector = sknoisy.SymmetricNoiseInjector(0.1, random_state=0)
    _, given = injector.fit_resample(bunch.data.to_numpy(), truth)
    bunch.data.assign(diagnosis=given).to_csv("tumours.csv", index=False)
    options = ["--label", "diagnosis"]
    name = "tumours"
    return Case(name, "tumours.csv", "tumours.fixed.csv", options, truth.tolist())


def command(*words):
    """Run a command; return its output and the CPU seconds."""
    print("  $ sknoisy", shlex.join(words))
    start, text = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(text):
        status = main([*words, "--quiet"])
    assert status == 0, text.getvalue()
    return text.getvalue(), time.process_time() - start


def decide(browser, truth):
    """Type the keys for the row in focus, as one who knows the truth."""
    row, given, suggested = browser.run(
        f"[{FOCUSED}.dataset.row, ...['given', 'suggested'].map("
        f"(name) => JSON.parse(document.getElementById('audit').textContent)"
        f".classes[{FOCUSED}.dataset[name]])]"
    )
    label = truth[int(row)]
    if label == given:
        browser.press("k")
        return "keep"
    if label == suggested:
        browser.press("a")
        return "accept"
    # The choice of another label: its first letters select it.
    browser.press("o", *label)
    assert browser.run("document.activeElement.value") == label
    browser.press("Enter")
    return "other"


def review(browser, case, shots):
    """Type the decisions; return how many of each kind, and the seconds."""
    browser.open(Path(f"{case.name}.review.html").absolute())
    window(browser, 1200, 680)
    start, counts = time.perf_counter(), {"keep": 0, "accept": 0, "other": 0}
    browser.press("n")
    for _ in range(N_DECISIONS):
        counts[decide(browser, case.truth)] += 1
    seconds = time.perf_counter() - start
    shots.take(browser, case)
    browser.download("csv")
    return counts, seconds


def window(browser, width, height, dark=False):
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])


class Screenshots:
    """The pictures of the guide, if a folder is given."""

    # How many rows before the last one are shown, and the height of the window.
    views = {"digits": (2, 680), "comments": (6, 540), "tumours": (2, 680)}

    def __init__(self, folder):
        self.folder = folder

    def take(self, browser, case):
        """Save what the window shows of a page with decisions."""
        if self.folder is None or case.name not in self.views:
            return
        n_back, height = self.views[case.name]
        browser.press(*"p" * n_back)
        self._save(browser, case.name, 1200, height, dark=case.name == "comments")
        if case.name == "digits":
            self._save(browser, "digits-phone", 360, 680)
            window(browser, 1200, 680)
            browser.run("document.querySelector('#work details').open = true")
            browser.run("document.getElementById('help').open = true")
            browser.run("scrollTo(0, 0)")
            self._save(browser, "keys", 1200, 680)
        window(browser, 1200, 680)

    def notebook(self, browser, html, dark):
        """Save what a notebook shows of a report."""
        if self.folder is None:
            return
        ink, paper = ("#ddd", "#111") if dark else ("#000", "#fff")
        style = f"background: {paper}; color: {ink}; margin: 1rem"
        page = Path("notebook.html")
        page.write_text(f'<meta charset="utf-8"><body style="{style}">{html}')
        browser.open(page.absolute())
        browser.run("document.querySelectorAll('table')[1].scrollIntoView()")
        self._save(browser, "notebook", 1200, 680, dark=dark)

    def _save(self, browser, name, width, height, dark=False):
        from PIL import Image

        window(browser, width, height, dark)
        if width < 500:
            browser.press("n", "p")
        answer = browser.call("Page.captureScreenshot", format="png")
        image = Image.open(io.BytesIO(base64.b64decode(answer["data"])))
        # 256 colours: a third of the bytes.
        image = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        image.save(self.folder / f"review-{name}.png", optimize=True)


def flagged(text):
    return int(re.search(r"^flagged: ([\d,]+)", text, re.M)[1].replace(",", ""))


def walk(case, browser, shots):
    """Walk the whole way, and return a line of numbers."""
    print(f"\n{case.name}")
    before = case.n_wrong(case.source)
    text, seconds = command("review", case.source, *case.options)
    counts, typing = review(browser, case, shots)
    label = [] if "--label" not in case.options else case.options
    decisions = ["--decisions", "decisions.csv", "--out", case.fixed]
    applied, _ = command("apply", case.source, *label, *decisions)
    print("    " + "\n    ".join(applied.splitlines()))
    Path("decisions.csv").unlink()
    again, seconds_again = command("audit", case.fixed, *case.options)
    after = case.n_wrong(case.fixed)
    return {
        "rows": len(case.truth),
        "wrong before": before,
        "flagged": flagged(text),
        **counts,
        "wrong after": after,
        "flagged again": flagged(again),
        "CPU s": round(seconds, 1),
        "typing": round(typing, 1),
        "CPU s again": round(seconds_again, 1),
    }


def run(args):
    shots = Screenshots(args.screenshots and args.screenshots.absolute())
    lines = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        browser = Browser(Path(folder, "profile"), folder)
        try:
            for make in (photos, digits, comments, tumours):
                try:
                    case = make(args.data)
                except FileNotFoundError as error:
                    print(f"{make.__name__} skipped: {error}")
                    continue
                lines[case.name] = walk(case, browser, shots)
            if args.screenshots:
                report = sknoisy.audit("digits", cache="cache")
                shots.notebook(browser, report._repr_html_(), dark=True)
        finally:
            browser.close()
            os.chdir(Path(__file__).parent)
    print()
    print(pd.DataFrame.from_dict(lines, orient="index").to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    run(parser.parse_args())
