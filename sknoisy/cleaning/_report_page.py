"""The page of a label report: self-contained HTML without scripts."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sknoisy._rows import plain_rows
from sknoisy._selected_rows import loaded_rows_of
from sknoisy.cleaning._report_images import displayable, image_element
from sknoisy.cleaning._report_rates import CAVEAT, rate_in_words
from sknoisy.cleaning._report_tables import ReportTables

# Limits that keep the page readable.
_MAX_CLASSES = 20
_MAX_UNJUDGED = 50
_MAX_NAME = 200


@dataclass(frozen=True)
class _Limits:
    """How much is shown: columns, characters of a text, lines of classes."""

    columns: int = 20
    text: int = 500
    classes: int | None = None


_PAGE, _NOTEBOOK = _Limits(), _Limits(columns=8, text=200, classes=20)
_NOTEBOOK_ROWS = 10

# What the scores are, by whether they are probabilities.
SCORE_HEAD = {True: "probability of a wrong label", False: "suspicion"}
_SCORES = {
    True: "The probability of a wrong label is right on average if labels are wrong at "
    "random.",
    False: "The suspicion, from 0 to 1, puts the rows in order. It is no probability.",
}

# Characters that HTML forbids even as references, and halves of surrogate pairs.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

# Second line of defence: nothing is fetched and no script runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

STYLE = """
.sknoisy { font: 1rem/1.5 system-ui, sans-serif; }
.sknoisy .scroll { overflow-x: auto; margin: 1rem 0; }
.sknoisy table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.sknoisy caption { text-align: left; padding-bottom: .4rem; opacity: .8; }
.sknoisy th, .sknoisy td { padding: .25rem .6rem; text-align: right;
  border-bottom: 1px solid rgb(128 128 128 / .35); vertical-align: top; }
.sknoisy th { font-weight: 600; }
.sknoisy .text { text-align: left; min-width: 8rem; max-width: 40rem;
  overflow-wrap: anywhere; white-space: pre-wrap; }
.sknoisy .zero { opacity: .65; }
.sknoisy img { display: block; width: 6rem; height: auto; }
.sknoisy img.exact { image-rendering: pixelated; }
.sknoisy dl { display: grid; grid-template-columns: max-content 1fr;
  gap: .2rem 1.2rem; }
.sknoisy dt { font-weight: 600; }
.sknoisy dd { margin: 0; }
"""
PAGE_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; }
"""


def full_page(report: ReportTables, counts: csr_array, X: Any, max_rows: int) -> str:
    """Return the whole page.

    Parameters
    ----------
    report : ReportTables
    counts : sparse array of shape (n_classes, n_classes)
        Rows by given and suggested label.
    X : array-like of shape (n_samples, ...) or None
        What to show of each row.
    max_rows : int
        Suspicious rows to show.

    Returns
    -------
    page : str
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Label report</title>\n<style>{PAGE_STYLE}{STYLE}</style>\n</head>\n"
        '<body>\n<main class="sknoisy">\n<h1>Label report</h1>\n'
        f"{_summary(report)}"
        f"<h2>Given and suggested labels</h2>\n{_confusion(report, counts)}"
        f"<h2>Classes</h2>\n{_classes(report)}"
        f"<h2>Most suspicious rows</h2>\n{_rows(report, X, max_rows)}"
        f"{_unjudged(report)}"
        "</main>\n</body>\n</html>\n"
    )


def notebook_fragment(report: ReportTables, X: Any) -> str:
    """Return the summary, the classes and the most suspicious rows, for a notebook.

    Parameters
    ----------
    report : ReportTables
    X : array-like of shape (n_samples, ...) or None
        What to show of each row.

    Returns
    -------
    markup : str
        Without scripts, and at most about 1 MB.
    """
    try:
        rows = _rows(report, X, _NOTEBOOK_ROWS, _NOTEBOOK)
    except (OSError, ValueError):
        # Files of images may be gone.
        rows = _rows(report, None, _NOTEBOOK_ROWS, _NOTEBOOK)
    return (
        f'<div class="sknoisy"><style>{STYLE}</style>\n'
        f"{_summary(report)}{_classes(report, _NOTEBOOK)}{rows}</div>\n"
    )


def tables(report: ReportTables, counts: csr_array) -> str:
    """Return the summary and all tables but that of the rows.

    Parameters
    ----------
    report : ReportTables
    counts : sparse array of shape (n_classes, n_classes)

    Returns
    -------
    markup : str
    """
    return (
        f"{_summary(report)}"
        f"<h2>Given and suggested labels</h2>\n{_confusion(report, counts)}"
        f"<h2>Classes</h2>\n{_classes(report)}{_unjudged(report)}"
    )


def escape(value: Any) -> str:
    """Return a value as escaped text."""
    return html.escape(FORBIDDEN.sub("\ufffd", str(value)), quote=True)


def _summary(report: ReportTables) -> str:
    frame = report.frame
    n_flagged = int(frame["is_label_issue"].sum())
    shares = {
        "Detector": escape(report.detector_name),
        "Rows": f"{len(frame):,}",
        "Classes": f"{len(report.classes):,}",
        "Flagged labels": f"{n_flagged:,} ({n_flagged / len(frame):.1%})",
        "Noise rate": escape(rate_in_words(report.noise_rate_estimates)),
    }
    n_unjudged = len(report.unjudged)
    if n_unjudged:
        shares["Not scored"] = f"{n_unjudged:,} (labels that occur once)"
    terms = "".join(
        f"<dt>{key}</dt><dd>{value}</dd>\n" for key, value in shares.items()
    )
    return (
        f"<dl>\n{terms}</dl>\n"
        "<p>The noise rate is the share of wrong labels. It is estimated, and "
        f"{CAVEAT}: look at some of the rows before you change their labels.</p>\n"
        f"<p>{_SCORES[report.scores_are_probabilities]}</p>\n"
    )


def _confusion(report: ReportTables, counts: csr_array) -> str:
    off = counts.copy()
    off.setdiag(0)
    n_changes = off.sum(axis=0) + off.sum(axis=1)
    shown = np.sort(np.argsort(-n_changes, kind="stable")[:_MAX_CLASSES])
    part = counts[shown][:, shown].toarray()
    most = max(1, int(off[shown][:, shown].max()))
    names = [escape(report.classes[c]) for c in shown]
    body = []
    for i, name in enumerate(names):
        cells = "".join(_count(int(n), i == j, most) for j, n in enumerate(part[i]))
        body.append(f'<tr><th scope="row">{name}</th>{cells}</tr>\n')
    caption = "Number of rows by given label (lines) and suggested label (columns)."
    if len(shown) < len(report.classes):
        caption += (
            f" The {len(shown)} of {len(report.classes)} classes with the most "
            "suggestions of another label."
        )
    return _table("Given and suggested labels", caption, ["given", *names], body)


def _count(count: int, is_same: bool, most: int) -> str:
    if count == 0:
        return '<td class="zero">0</td>'
    if is_same:
        return f"<td>{count:,}</td>"
    shade = 0.1 + 0.5 * count / most
    return f'<td style="background: rgb(220 110 20 / {shade:.2f})">{count:,}</td>'


def _classes(report: ReportTables, limits: _Limits = _PAGE) -> str:
    score = f"mean {SCORE_HEAD[report.scores_are_probabilities]}"
    head = ["given", "rows", "flagged", "share", score]
    body = []
    by_class = report.by_class.rename(columns={f"mean_{report.score_name}": "score"})
    caption = (
        "How often each given label is flagged, and what is then suggested most often."
    )
    names, n_classes = np.asarray(report.classes), len(report.classes)
    if limits.classes is not None and n_classes > limits.classes:
        order = np.argsort(-by_class["n_flagged"].to_numpy(), kind="stable")
        shown = np.sort(order[: limits.classes])
        names, by_class = names[shown], by_class.iloc[shown]
        caption += f" The {len(shown)} of {n_classes:,} classes with the most flags."
    for name, row in zip(names, by_class.itertuples(), strict=True):
        suggestion = "none" if row.top_suggestion is None else row.top_suggestion
        body.append(
            f'<tr><th scope="row">{_name(name)}</th><td>{row.n_rows:,}</td>'
            f"<td>{row.n_flagged:,}</td><td>{row.share_flagged:.1%}</td>"
            f"<td>{row.score:.3f}</td>"
            f"<td>{_name(suggestion)}</td></tr>\n"
        )
    return _table(
        "Classes",
        caption,
        [*head, "suggested most"],
        body,
    )


def _rows(report: ReportTables, X: Any, max_rows: int, limits: _Limits = _PAGE) -> str:
    scores = report.frame[report.score_name].to_numpy()
    index = np.argsort(-scores, kind="stable")[:max_rows]
    if not len(index):
        return "<p>No rows are shown.</p>\n"
    names, features, note = _features(X, index, limits)
    body = []
    for place, cells in zip(index, features, strict=True):
        row = report.frame.iloc[place]
        body.append(
            f'<tr><th scope="row">{_name(report.frame.index[place])}</th>'
            f"<td>{_name(row['given_label'])}</td>"
            f"<td>{_name(row['suggested_label'])}</td>"
            f"<td>{scores[place]:.3f}</td>"
            f"<td>{'yes' if row['is_label_issue'] else 'no'}</td>{cells}</tr>\n"
        )
    score = SCORE_HEAD[report.scores_are_probabilities]
    head = ["row", "given", "suggested", score, "flagged"]
    caption = (
        f"The {len(index):,} of {len(scores):,} rows with the largest {score}.{note}"
    )
    return _table("Most suspicious rows", caption, [*head, *names], body)


def _unjudged(report: ReportTables) -> str:
    """Return the section of labels that occur once; nothing if there are none."""
    index = report.unjudged
    if not len(index):
        return ""
    shown = report.frame.iloc[index[:_MAX_UNJUDGED]]
    body = [
        f'<tr><th scope="row">{escape(row)}</th><td>{escape(label)}</td></tr>\n'
        for row, label in zip(shown.index, shown["given_label"], strict=True)
    ]
    caption = "Rows that were not scored."
    if len(shown) < len(index):
        caption = f"The first {len(shown)} of {len(index):,} rows not scored."
    return (
        "<h2>Labels that occur once</h2>\n<p>No other row has the label of these rows, "
        "so that nothing speaks for or against it. They were not scored.</p>\n"
        f"{_table('Labels that occur once', caption, ['row', 'given'], body)}"
    )


def _features(
    X: Any, index: NDArray[np.int64], limits: _Limits
) -> tuple[list[str], list[str], str]:
    """Return the names of the columns, the cells of each row, and a note."""
    if X is None:
        return [], [""] * len(index), ""
    if hasattr(X, "toarray") and not hasattr(X, "to_numpy"):
        return [], [""] * len(index), " The features are sparse and not shown."
    part: Any = plain_rows(loaded_rows_of(X, index))
    if hasattr(part, "columns"):
        names = [str(name) for name in part.columns]
        rows = part.rows() if hasattr(part, "rows") else part.to_numpy(object).tolist()
        return _columns(names, rows, limits)
    if len({np.shape(item) for item in part}) == 1 and np.shape(part[:1]) != (1,):
        part = np.asarray(part)
    ndim = getattr(part, "ndim", 1)
    if ndim == 2:
        return _columns(
            [f"feature {j}" for j in range(part.shape[1])], part.tolist(), limits
        )
    if ndim in (3, 4) and part.dtype.kind in "buif":
        return ["image"], [_image_cell(*pair) for pair in _images(part, index)], ""
    return ["content"], [_cell(value, limits) for value in part], ""


def _columns(
    names: Sequence[str], rows: Iterable[Sequence[Any]], limits: _Limits
) -> tuple[list[str], list[str], str]:
    n_shown = limits.columns
    shown = [_name(name) for name in names[:n_shown]]
    cells = ["".join(_cell(value, limits) for value in row[:n_shown]) for row in rows]
    if len(shown) == len(names):
        return shown, cells, ""
    return shown, cells, f" The first {len(shown)} of {len(names)} features."


def _cell(value: Any, limits: _Limits) -> str:
    if isinstance(value, float | np.floating):
        return f"<td>{value:.4g}</td>"
    if isinstance(value, bool | int | np.integer):
        return f"<td>{value}</td>"
    text = str(value)
    if len(text) > limits.text:
        text = text[: limits.text] + " …"
    return f'<td class="text">{escape(text)}</td>'


def _name(value: Any) -> str:
    """Return a label or the name of a row or column, not too long, as markup."""
    text = str(value)
    return escape(text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…")


def _images(
    values: NDArray[Any], index: NDArray[np.int64]
) -> Iterable[tuple[int, NDArray[Any]]]:
    if values.ndim == 3:
        values = values[:, None]
    elif values.shape[-1] in (1, 3, 4) and values.shape[1] not in (1, 3, 4):
        values = values.transpose(0, 3, 1, 2)
    return zip(index.tolist(), values, strict=True)


def _image_cell(row: int, image: NDArray[Any]) -> str:
    return f"<td>{image_element(displayable(image), f'image {row}')}</td>"


def _table(label: str, caption: str, head: Sequence[str], body: Iterable[str]) -> str:
    """Return a table that can be scrolled; its cells are markup already."""
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"<table>\n<caption>{caption}</caption>\n<thead><tr>{columns}</tr></thead>\n"
        f"<tbody>\n{''.join(body)}</tbody>\n</table>\n</div>\n"
    )
