"""What a person sees of a row: its text, its image, or the numbers that stand out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sknoisy._rows import is_frame, plain_rows
from sknoisy._selected_rows import loaded_rows_of, rows_of
from sknoisy.cleaning._report_images import displayable, image_element, is_tiny
from sknoisy.cleaning._report_page import escape
from sknoisy.cleaning._review_neighbours import Neighbours

__all__ = ["are_images", "channels_first", "contents", "reasons"]

_MAX_TEXT, _MAX_NEAR_TEXT, _MAX_CELL = 3000, 500, 80
_LONG = 40
_FIRST, _MAX_FEATURES = 6, 20
# Larger deviations are no more telling.
_MAX_DEVIATION = 6.0
# Of the most frequent value of a class.
_MIN_SHARE = 0.05
# Sides of images and of those beside them; smaller ones until the page is small enough.
_SIDES = ((128, 64), (96, 48), (56, 32), (32, 24))


def contents(
    X: Any, index: NDArray[np.int64], beside: Neighbours, max_bytes: int
) -> list[str]:
    """Return what to show of each row, as markup.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or None
    index : ndarray of shape (n_rows,), dtype int64
    beside : Neighbours
    max_bytes : int
        Images are made smaller until they need no more.

    Returns
    -------
    contents : list of str
    """
    if X is None:
        return ["<p>No features were given.</p>"] * len(index)
    near = [row for pair in beside.rows for rows in pair for row in rows]
    usual = list(beside.usual.values()) if _is_table(X) else []
    needed = np.unique(np.concatenate([index, np.array(near, dtype=np.int64), *usual]))
    place = dict(zip(needed.tolist(), range(len(needed)), strict=True))
    part = loaded_rows_of(X, needed)
    part = part.toarray() if issparse(part) else plain_rows(part)
    if _is_table(X):
        return _Table(part, place).contents(index, beside)
    if are_images(part):
        return _images(part, index, place, beside, max_bytes)
    return [
        _text(part[place[int(row)]], _MAX_TEXT)
        + _beside(
            names, pair, lambda near: _text(part[place[near]], _MAX_NEAR_TEXT), "texts"
        )
        for row, names, pair in zip(index, beside.names, beside.rows, strict=True)
    ]


def reasons(X: Any, index: NDArray[np.int64], beside: Neighbours) -> list[str]:
    """Return in words which feature of a row is the least usual in its given class.

    Parameters
    ----------
    X : frame, matrix or None
    index : ndarray of shape (n_rows,), dtype int64
    beside : Neighbours

    Returns
    -------
    reasons : list of str
        What it looks like instead, where no feature stands out.
    """
    alike = [
        f"looks like {suggested}" if suggested else "" for _, suggested in beside.names
    ]
    if X is None or not _is_table(X) or not len(index):
        return alike
    needed = np.unique(np.concatenate([index, *beside.usual.values()]))
    place = dict(zip(needed.tolist(), range(len(needed)), strict=True))
    part = rows_of(X, needed)
    part = part.toarray() if issparse(part) else plain_rows(part)
    return _Table(part, place).reasons(index, beside, alike)


def _is_table(X: Any) -> bool:
    return is_frame(X) or issparse(X) or len(getattr(X, "shape", ())) == 2


def are_images(part: Any) -> bool:
    """Return whether rows are images: arrays of two or three dimensions."""
    if hasattr(part, "ndim") and part.ndim > 1:
        return part.ndim in (3, 4) and part.dtype.kind in "buif"
    return all(hasattr(item, "__array__") and np.ndim(item) in (2, 3) for item in part)


class _Table:
    """Some rows of a table: columns of texts, of numbers, and others."""

    def __init__(self, part: Any, place: dict[int, int]):
        self.place = place
        if is_frame(part):
            self.names = [str(name) for name in part.columns]
            columns = [_values(part, i) for i in range(part.shape[1])]
        else:
            self.names = [f"feature {i}" for i in range(part.shape[1])]
            columns = list(np.asarray(part).T)
        self.columns = columns
        self.numbers = {
            i: column.astype(np.float64)
            for i, column in enumerate(columns)
            if column.dtype.kind in "iuf"
        }
        self.texts = [i for i, column in enumerate(columns) if _is_text(column)]
        self.others = [i for i in range(len(columns)) if i not in set(self.texts)]
        self.usual: dict[int, Any] = {}

    def reasons(
        self, index: NDArray[np.int64], beside: Neighbours, alike: list[str]
    ) -> list[str]:
        self._learn(beside)
        found = []
        for row, names, codes, like in zip(
            index.tolist(), beside.names, beside.codes, alike, strict=True
        ):
            at = self.place[row]
            best = max(
                self.others, key=lambda i: self._stands_out(i, at, codes), default=None
            )
            if best is None or self._stands_out(best, at, codes) <= 1:
                found.append(like)
                continue
            value = self.columns[best][at]
            usual = self._usual_text(best, value, codes[0])
            text = f"{self.names[best]} is {_plain_cell(value)}, {usual} in {names[0]}"
            found.append(f"{like}: {text}" if like else text)
        return found

    def _learn(self, beside: Neighbours) -> None:
        for code, rows in beside.usual.items():
            self.usual[code] = self._usual([self.place[row] for row in rows.tolist()])

    def contents(self, index: NDArray[np.int64], beside: Neighbours) -> list[str]:
        self._learn(beside)
        return [
            self._row(int(row), names, codes, pair)
            for row, names, codes, pair in zip(
                index, beside.names, beside.codes, beside.rows, strict=True
            )
        ]

    def _usual(self, rows: list[int]) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return quartiles of numbers, and shares of other values, in a class."""
        quartiles, shares = {}, {}
        for i in self.others:
            if i in self.numbers:
                values = self.numbers[i][rows]
                values = values[np.isfinite(values)]
                if len(values):
                    quartiles[i] = np.percentile(values, [25, 50, 75])
            else:
                names = [str(value) for value in self.columns[i][rows]]
                found, counts = np.unique(names, return_counts=True)
                shares[i] = dict(zip(found, counts / len(rows), strict=True))
        return quartiles, shares

    def _row(
        self,
        row: int,
        names: tuple[str, str],
        codes: tuple[int, int],
        pair: tuple[list[int], list[int]],
    ) -> str:
        at = self.place[row]
        parts = [
            _text(self.columns[i][at], _MAX_TEXT, self.names[i]) for i in self.texts
        ]
        if self.texts:
            parts.append(_beside(names, pair, self._near_texts, "rows"))
        if self.others:
            parts.append(self._features(at, names, codes, pair))
        return "".join(parts)

    def _near_texts(self, row: int) -> str:
        at = self.place[row]
        return "".join(_text(self.columns[i][at], _MAX_NEAR_TEXT) for i in self.texts)

    def _features(
        self,
        at: int,
        names: tuple[str, str],
        codes: tuple[int, int],
        pair: tuple[list[int], list[int]],
    ) -> str:
        sides = [k for k in (0, 1) if names[k]]
        scored = sorted(self.others, key=lambda i: -self._stands_out(i, at, codes))
        head = "<th scope='col'>feature</th><th scope='col'>this row</th>"
        for k in sides:
            name = escape(names[k])
            head += f"<th scope='col'>usual in {name}</th>"
            if pair[k]:
                head += f"<th scope='col'>nearest {name} (row {pair[k][0]})</th>"
        lines = []
        for i in scored[:_MAX_FEATURES]:
            value = self.columns[i][at]
            cells = f"<th scope='row'>{escape(_cut(self.names[i]))}</th>"
            far = self._deviation(i, at, codes[0]) > 2
            mark = " <em>unusual</em>" if far else ""
            cells += f"<td{' class=far' if far else ''}>{_cell(value)}{mark}</td>"
            for k in sides:
                cells += f"<td>{self._usual_cell(i, value, codes[k])}</td>"
                if pair[k]:
                    cells += (
                        f"<td>{_cell(self.columns[i][self.place[pair[k][0]]])}</td>"
                    )
            lines.append(f"<tr>{cells}</tr>")
        return _feature_table(head, lines, len(self.others))

    def _usual_cell(self, i: int, value: Any, code: int) -> str:
        return escape(self._usual_text(i, value, code).removeprefix("usual "))

    def _usual_text(self, i: int, value: Any, code: int) -> str:
        quartiles, shares = self.usual[code]
        if i in quartiles:
            low, _, high = quartiles[i]
            return f"usual {low:.4g} to {high:.4g}"
        return f"{shares[i].get(str(value), 0):.0%} have it" if i in shares else ""

    def _deviation(self, i: int, at: int, code: int) -> float:
        """Return how unusual a value is in a class, 0 to 6 as if in deviations."""
        quartiles, shares = self.usual[code]
        if i in quartiles:
            low, middle, high = quartiles[i]
            # Half of a normal distribution lies within 1.35 deviations.
            spread = max((high - low) / 1.35, 1e-9 * (1 + abs(middle)))
            deviation = abs(float(self.numbers[i][at]) - middle) / spread
            # A missing value is not unusual.
            return 0.0 if math.isnan(deviation) else min(deviation, _MAX_DEVIATION)
        # A column with a name for each row says nothing of a class.
        if i in shares and max(shares[i].values()) >= _MIN_SHARE:
            return 3 * (1 - shares[i].get(str(self.columns[i][at]), 0.0)) ** 4
        return 0.0

    def _stands_out(self, i: int, at: int, codes: tuple[int, int]) -> float:
        own = self._deviation(i, at, codes[0])
        if codes[0] == codes[1]:
            return own
        return own - self._deviation(i, at, codes[1])


def _values(frame: Any, place: int) -> NDArray[Any]:
    """Return a column as numbers if all are; else as objects, "" where missing."""
    if hasattr(frame, "iloc"):
        column = frame.iloc[:, place]
        values = column.to_numpy()
        if values.dtype.kind not in "iuf":
            column = column.astype(object)
            values = column.where(column.notna(), "").to_numpy(dtype=object)
    else:
        values = frame[frame.columns[place]].to_numpy()
        if values.dtype.kind not in "iuf":
            cells = ["" if v is None else v for v in values.tolist()]
            values = np.array(cells, dtype=object)
    return values if values.dtype.kind in "iuf" else _numbers_or_objects(values)


def _numbers_or_objects(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts as numbers, if all that are not empty are numbers."""
    if not all(isinstance(value, str) for value in values):
        return values
    try:
        return np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return values


def _is_text(column: NDArray[Any]) -> bool:
    if column.dtype.kind != "O":
        return False
    lengths = [len(value) for value in column if isinstance(value, str) and value]
    return bool(lengths) and float(np.mean(lengths)) > _LONG


def _feature_table(head: str, lines: Sequence[str], n_features: int) -> str:
    def table(part: Sequence[str], label: str) -> str:
        return (
            f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(part)}</tbody>"
            "</table></div>"
        )

    text = table(lines[:_FIRST], "features that stand out")
    if len(lines) > _FIRST:
        more = f"{len(lines) - _FIRST} more features"
        if n_features > len(lines):
            more += f" of {n_features - _FIRST}"
        rest = table(lines[_FIRST:], "more features")
        text += f"<details><summary>{more}</summary>{rest}</details>"
    return text


def _beside(
    names: tuple[str, str], pair: tuple[list[int], list[int]], show: Any, what: str
) -> str:
    """Return the nearest rows of both classes, side by side."""
    sides = []
    for name, rows in zip(names, pair, strict=True):
        if name and rows:
            shown = "".join(
                f"<figure>{show(row)}<figcaption>row {row}</figcaption></figure>"
                for row in rows
            )
            sides.append(
                f"<section><h3>Nearest {what} labelled {escape(name)}</h3>"
                f'<div class="near">{shown}</div></section>'
            )
    return f'<div class="beside">{"".join(sides)}</div>' if sides else ""


def _text(value: Any, limit: int, name: str = "") -> str:
    text = str(value)
    more = len(text) - limit
    shown = escape(text[:limit])
    if more > 0:
        shown += f" … <em>({more:,} more characters)</em>"
    head = f'<span class="name">{escape(name)}</span> ' if name else ""
    return f"<p class='text'>{head}{shown}</p>"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _cell(value: Any) -> str:
    return escape(_plain_cell(value))


def _plain_cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.5g}"
    return _cut(str(value))


def _images(
    part: Any,
    index: NDArray[np.int64],
    place: dict[int, int],
    beside: Neighbours,
    max_bytes: int,
) -> list[str]:
    for large, small in _SIDES:
        known: dict[tuple[int, int], str] = {}

        def picture(row: int, side: int, known: Any = known) -> str:
            if (row, side) not in known:
                image = channels_first(np.asarray(part[place[row]]))
                known[row, side] = image_element(
                    displayable(_shrunk(image, side)),
                    f"image of row {row}",
                    exact=is_tiny(image[0]),
                )
            return known[row, side]

        shown = [
            f'<div class="images"><div class="large">{picture(int(row), large)}</div>'
            + _beside(names, pair, lambda near, s=small: picture(near, s), "images")
            + "</div>"
            for row, names, pair in zip(index, beside.names, beside.rows, strict=True)
        ]
        if sum(map(len, shown)) <= max_bytes:
            break
    return shown


def channels_first(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of shape (C, H, W)."""
    if image.ndim == 2:
        return image[None]
    if image.shape[-1] in (1, 3, 4) and image.shape[0] not in (1, 3, 4):
        return image.transpose(2, 0, 1)
    return image


def _shrunk(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the means of squares of pixels, so that no side is longer."""
    step = -(-max(image.shape[1:]) // side)
    if step == 1:
        return image
    height, width = (max(1, size // step) * step for size in image.shape[1:])
    squares = image[:, :height, :width] if min(image.shape[1:]) >= step else None
    if squares is None:
        return image[:, ::step, ::step]
    shape = (len(image), height // step, step, width // step, step)
    means = squares.reshape(shape).mean(axis=(2, 4))
    return means.astype(image.dtype) if image.dtype.kind in "iu" else means
