"""Runs the cells of a published table, and prints them beside the published figures."""

import argparse
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile, zip_longest
from pathlib import Path

import numpy as np
import torch
from _data import BESIDE, BESIDE_IT, read, stand_in
from _features import TestAccuracy
from _results import Results, hardware, versions

from sknoisy.nets import MLP, PreActResNet, PreActResNet18

# Rows, test rows, epochs, batch size; None is what the paper has.
SCALES = {
    "tiny": (600, 500, 6, 32),
    "small": (5_000, 5_000, 20, 128),
    "full": (None, None, None, None),
}
SMALL_NETWORKS = {
    ("images", "tiny"): {
        "module": PreActResNet,
        "module__blocks": (1, 1, 1),
        "module__width": 8,
    },
    ("images", "small"): {"module": PreActResNet18, "module__width": 16},
}


# The published means and deviations of the channels.
NORMALIZE = dict.fromkeys(("tiny-imagenet", "webvision", "animal10n"), "imagenet")
NORMALIZE |= {name: name for name in ("cifar10", "cifar100", "clothing1m")}


@dataclass(frozen=True)
class Column:
    """Wrong labels of a data set: what makes an injector, or None for those it has."""

    name: str
    noise: object = None
    data: str = "cifar10"


@dataclass(frozen=True)
class Row:
    """A method, its published figures, and what makes it here.

    Parameters
    ----------
    name : str
    published : dict of str to str
        By measure: the figures of the columns, as printed, "-" for none.
    make : callable or None
        A class, or a partial of it with what differs from the preset. None is quoted.
    preset : Preset or None
        None is that of the table.
    network : dict or None
        At full size, where it is not that of the preset.
    options : dict
        For the ``measure`` of the table.
    full_only : bool
        Whether a stand-in would not tell it from another row.
    """

    name: str
    published: dict = field(default_factory=dict)
    make: object = None
    preset: object = None
    network: dict | None = None
    options: dict = field(default_factory=dict)
    full_only: bool = False


@dataclass(frozen=True)
class Table:
    """A published table or figure.

    Parameters
    ----------
    title : str
    columns : list of Column
    rows : list of Row
    preset : Preset
    measures : tuple of str
        What is printed, of what ``measure`` returns and the rows have published.
    measure : callable
        From a `Cell` to a dict of figures, and a dict of lists to draw.
    kind : {"features", "images"}
        Of the stand-in for images below "full".
    plot : callable, dict of str to callable, or None
        Draws (axes, record), a panel; of several, by title, each has a line of panels.
    panel : {"record", "column"}
        What has a panel of its own.
    chart : callable or None
        Draws (axes, records), all of them in one panel, in place of ``plot``.
    note : str
    tiny : tuple of int or None
        Sizes at "tiny", for methods that take long. None is those of the scale.
    """

    title: str
    columns: list
    rows: list
    preset: object
    measures: tuple = ("best", "last")
    measure: object = None
    kind: str = "features"
    plot: object = None
    panel: str = "record"
    chart: object = None
    note: str = ""
    tiny: tuple | None = None


class Cell:
    """A row and a column with a seed."""

    def __init__(self, table, row, column, args, seed):
        self.table, self.row, self.column = table, row, column
        self.args, self.seed = args, seed
        self.preset = row.preset or table.preset
        self.epochs = args.epochs or self.preset.epochs
        self.batch_size = args.batch or self.preset.batch_size

    @cached_property
    def data(self):
        """X, y, given y, X_test, y_test."""
        a = self.args
        parts = a.scale, a.data, a.images, a.rows, a.test, self.seed
        return read(self.column, self.table.kind, *parts)

    @property
    def is_wrong(self):
        """Of the given labels."""
        return self.data[1] != self.data[2]

    def network(self):
        """Return the network of the scale."""
        if self.column.data in BESIDE_IT:
            return {}
        if self.args.scale == "full":
            own = self.row.network
            network = self.preset.network if own is None else own
            normalize = {"module__normalize": NORMALIZE[self.column.data]}
            return {**network, **normalize, **self.preset.at_full}
        if self.column.data == "tiny-imagenet":
            return {"module": MLP, "module__hidden": (), "module__dropout": 0.0}
        return SMALL_NETWORKS.get((self.table.kind, self.args.scale), {})

    def learning_rate(self):
        """Return that of the stand-in where the published one does not suit it."""
        is_pretrained = "module__weights" in self.preset.network
        is_own = self.args.scale == "full" and self.column.data not in BESIDE_IT
        if is_own or self.column.data == "tiny-imagenet":
            return {}
        of_features = self.preset.lr_on_features
        if of_features is not None and self.table.kind == "features":
            return {"lr": of_features}
        return {"lr": 0.05} if is_pretrained else {}

    def fit(self, make, rows=slice(None), callbacks=(), given=None):
        """Return a fitted classifier and its test accuracies by epoch, in percent.

        Of ``given``, X and y, in place of the training rows.
        """
        X, _, y, X_test, y_test = self.data
        X, y = given or (X, y)
        is_full = self.args.scale == "full"
        watching = [("test", TestAccuracy(X_test, y_test)), *callbacks]
        clf = self.preset.build(
            make,
            self.network(),
            self.epochs,
            **self.learning_rate(),
            batch_size=self.batch_size,
            random_state=self.seed,
            device=self.args.device,
            callbacks=[*watching, *(self.preset.callbacks if is_full else ())],
        )
        clf.fit(X[rows], y[rows])
        found = dict(clf.callbacks_)["test"].accuracies_
        return clf, 100 * np.array(found)

    def key(self):
        """Return what says which cell this is in a file of results."""
        a = self.args
        return {
            "script": a.script,
            "table": self.table.title,
            "row": self.row.name,
            "column": self.column.name,
            "scale": a.scale,
            "seed": self.seed,
            "rows": a.rows,
            "test_rows": a.test,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
        }

    def run(self):
        """Return the record of the cell."""
        wall, cpu = time.perf_counter(), time.process_time()
        values, drawn = (self.table.measure or accuracies)(self)
        return {
            **self.key(),
            "values": {name: round(float(v), 3) for name, v in values.items()},
            "drawn": drawn,
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "noise_rate": round(float(self.is_wrong.mean()), 4),
            "settings": self.preset.source,
            "hardware": hardware(self.args.device),
            "versions": versions(),
        }


def accuracies(cell):
    """Measure the test accuracy of the best and of the last epoch."""
    _, found = cell.fit(cell.row.make)
    values = {
        "best": found.max(),
        "last": found[-1],
        "last 10": found[-10:].mean(),
    }
    return values, {"test accuracy": found.round(2).tolist()}


def parse(script, tables, figures, argv=None):
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog=f"{script}.py")
    parser.set_defaults(script=script)
    parser.add_argument("--table", action="append", choices=tables, default=[])
    parser.add_argument("--figure", action="append", choices=figures, default=[])
    parser.add_argument("--scale", choices=SCALES, default="tiny")
    parser.add_argument("--results", type=Path, help="JSON-lines file, gone on with")
    parser.add_argument("--plot", type=Path, help="folder for the pictures")
    parser.add_argument("--data", type=Path, default=BESIDE, help="of CIFAR-10")
    parser.add_argument("--images", type=Path, help="full: folder of the data set")
    parser.add_argument("--row", default="", help="rows whose name holds this")
    parser.add_argument("--column", default="", help="columns whose name holds this")
    parser.add_argument("--device", help="default: CUDA if there is one")
    for name in ("rows", "test", "epochs", "batch", "seeds"):
        parser.add_argument(f"--{name}", type=int, help="instead of that of the scale")
    args = parser.parse_args(argv)
    if not args.table and not args.figure:
        args.table, args.figure = list(tables), list(figures)
    return args


def sized(args, table):
    """Return the arguments with the sizes that the command line does not state."""
    sizes = SCALES[args.scale]
    if args.scale == "tiny" and table.tiny is not None:
        sizes = table.tiny
    found = argparse.Namespace(**vars(args))
    for name, value in zip(("rows", "test", "epochs", "batch"), sizes, strict=True):
        if getattr(found, name) is None:
            setattr(found, name, value)
    return found


def main(file, tables, figures, argv=None):
    """Run the tables and figures that the command line names.

    Parameters
    ----------
    file : str
        The script.
    tables, figures : dict of str to Table
        By number.
    argv : list of str or None, default=None
        None is the command line.
    """
    args = parse(Path(file).stem, tables, figures, argv)
    torch.set_num_threads(1)
    results = Results(args.results)
    chosen = [("table", n, tables[n]) for n in args.table]
    chosen += [("figure", n, figures[n]) for n in args.figure]
    for what, number, table in chosen:
        records = run_table(table, sized(args, table), results)
        if args.plot and (table.plot or table.chart) and records:
            draw(table, records, args.plot / f"{args.script}_{what}{number}")


def run_table(table, args, results):
    """Run what is not in the results, print all, and return the records."""
    columns = [c for c in table.columns if args.column in c.name]
    found = []
    if not columns:
        print(f"\n{table.title}: no column named like {args.column!r}")
        return found
    head(table, columns, args)
    for row in table.rows:
        if args.row not in row.name:
            continue
        cells = [run_cells(table, row, c, args, results) for c in columns]
        found += [record for records in cells for record in records]
        at = [table.columns.index(column) for column in columns]
        for measure in table.measures:
            texts = row.published.get(measure, "").split() or ["-"] * len(table.columns)
            if set(texts) == {"-"} and not any(cells):
                continue
            pairs = zip(cells, at, strict=True)
            show(row, measure, [(cell_text(r, measure), texts[i]) for r, i in pairs])
    return found


def run_cells(table, row, column, args, results):
    """Return the records of all seeds; none of what is quoted."""
    is_here = stand_in(column, table.kind) and not row.full_only
    if row.make is None or not (is_here or args.scale == "full"):
        return []
    records = []
    for seed in range(
        args.seeds or (table.preset.seeds if args.scale == "full" else 1)
    ):
        cell = Cell(table, row, column, args, seed)
        record = results.find(cell.key())
        if record is None:
            record = cell.run()
            results.add(record)
        records.append(record)
    return records


def head(table, columns, args):
    """Print what is run, and the names of the columns."""
    sizes = f"{args.rows or 'all'} rows, {args.epochs or table.preset.epochs} epochs"
    print(f"\n{table.title}\n  scale {args.scale}: {sizes}; {table.preset.source}")
    if args.scale != "full":
        used = {stand_in(c, table.kind) or "not run" for c in columns}
        print(f"  data: {'; '.join(sorted(used))}")
    if table.note:
        print(f"  {table.note}")
    print("  measured | published; - is not run here, or not published")
    print(" " * 36 + "".join(f"{column.name:>24s}" for column in columns), flush=True)


def cell_text(records, measure):
    """Return the mean over the seeds, and the spread of several."""
    values = [r["values"][measure] for r in records if measure in r["values"]]
    if not values:
        return "-"
    spread = f"±{np.std(values):.2f}" if len(values) > 1 else ""
    mean = np.mean(values)
    return f"{mean:.{2 if abs(mean) >= 1 else 3}f}{spread}"


def show(row, measure, cells):
    """Print a line."""
    texts = "".join(f"{f'{ours} | {theirs}':>24s}" for ours, theirs in cells)
    name = row.name if row.make is not None else f"{row.name} (quoted)"
    print(f"{name:26s}{measure[-9:]:>10s}{texts}", flush=True)


def panels_of(table, records):
    """Return title, plot and records of each panel, and the panels of a line."""
    groups = {}
    for record in records:
        row = "" if table.panel == "column" else f"{record['row']}, "
        groups.setdefault(row + record["column"], []).append(record)
    plots = table.plot if isinstance(table.plot, dict) else {"": table.plot}
    panels = [
        (title + (name and f": {name}"), plot, own)
        for name, plot in plots.items()
        for title, own in groups.items()
    ]
    if len(plots) > 1:
        return panels, len(groups) if len(groups) > 1 else len(plots)
    if table.panel == "column":
        return panels, len(groups)
    # The records of a row follow each other.
    n_wide = len(list(takewhile(lambda r: r["row"] == records[0]["row"], records)))
    return panels, n_wide if n_wide > 1 else min(len(records), 4)


def draw(table, records, path):
    """Write a picture: panels as the table has records, or a chart of them all."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    if table.chart is not None:
        fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
        table.chart(ax, records)
    else:
        panels, n_wide = panels_of(table, records)
        n_high = -(-len(panels) // n_wide)
        size = (4 * n_wide, 3.4 * n_high)
        fig, axes = plt.subplots(
            n_high, n_wide, figsize=size, squeeze=False, layout="constrained"
        )
        for ax, panel in zip_longest(axes.flat, panels):
            if panel is None:
                ax.set_axis_off()
                continue
            title, plot, own = panel
            for record in own:
                plot(ax, record)
            ax.set_title(title, fontsize=9)
            if ax.get_legend_handles_labels()[1]:
                ax.legend(fontsize=7)
    # Panels of images are wider than high.
    fig.savefig(path.with_suffix(".png"), bbox_inches="tight")
    plt.close(fig)
    print(f"  drawn: {path.with_suffix('.png')}")


def by_epoch(ax, record):
    """Draw the test accuracy of a row by epoch."""
    values = record["drawn"]["test accuracy"]
    ax.plot(range(1, len(values) + 1), values, label=record["row"])
    ax.set(xlabel="epoch", ylabel="test accuracy, %")


def lines(ax, record):
    """Draw what is drawn by epoch."""
    for name, values in record["drawn"].items():
        ax.plot(range(1, len(values) + 1), values, label=name)
    ax.set(xlabel="epoch", ylabel="accuracy, %")


def histograms(ax, record):
    """Draw shares of the rows in 20 equal bins, of clean and of wrong labels."""
    low, high = record["drawn"]["range"]
    edges = np.linspace(low, high, 21)
    for name in ("clean", "wrong"):
        ax.stairs(record["drawn"][name], edges, fill=True, alpha=0.5, label=name)
    ax.set_ylabel("share of the rows")


def binned(values, is_wrong, low=None, high=None):
    """Return what `histograms` draws."""
    low = float(np.min(values)) if low is None else low
    high = float(np.max(values)) if high is None else high
    found = {"range": [low, high]}
    for name, rows in (("clean", ~is_wrong), ("wrong", is_wrong)):
        counts = np.histogram(values[rows], 20, (low, high))[0]
        found[name] = (counts / max(rows.sum(), 1)).round(4).tolist()
    return found
