"""Read numbers and dates in local notation, and suggest the option for it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sknoisy._option_names import option
from sknoisy._user_errors import UserError
from sknoisy.auditing._reading import import_pandas

_CURRENCY = "$€£¥₹"
# A sign; a currency sign before or after the number, or a percent sign after it.
_MONEY = re.compile(rf"^([+-]?)[{_CURRENCY}]?([^{_CURRENCY}%]*)[{_CURRENCY}%]?$")
_BLANKS = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))
_SEPARATED = r"([./-])\d{1,2}\1\d{4}"
# Of several formats of a pattern, the first that fits all cells is used.
_DATES = {
    r"\d{4}-\d{2}-\d{2}([T ].*)?": ("ISO8601",),
    r"\d{1,2}\.\d{1,2}\.\d{4}": ("%d.%m.%Y",),
    r"\d{1,2}/\d{1,2}/\d{4}": ("%m/%d/%Y", "%d/%m/%Y"),
    r"\d{1,2}-\d{1,2}-\d{4}": ("%m-%d-%Y", "%d-%m-%Y"),
}
# Share of cells from which a column counts as mostly numbers or dates.
_MOSTLY = 0.8
# Cells that are read for that.
_LOOKED_AT = 2000


@dataclass(frozen=True)
class Notation:
    """How a table writes numbers and dates.

    Attributes
    ----------
    decimal : str
        Decimal mark.
    thousands : str or None
        Separator of groups of digits; None if there is none.
    dayfirst : bool
        Whether the day comes first: 03-04-2024 is in April.
    missing : collection of str
        Texts that stand for a missing value.
    """

    decimal: str = "."
    thousands: str | None = None
    dayfirst: bool = False
    missing: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in ("decimal", "thousands"):
            mark = getattr(self, name)
            if mark is not None and not is_mark(mark):
                raise UserError(
                    f"{option(name)} must be one character that is not a digit, letter "
                    f"or sign; got {mark!r}"
                )
        if self.decimal == self.thousands:
            raise UserError(
                f"{option('decimal')} and {option('thousands')} are both "
                f"{self.decimal!r}"
            )

    @property
    def is_local(self) -> bool:
        """Whether numbers are written differently than in Python."""
        return self.decimal != "." or self.thousands is not None


def is_mark(text: str) -> bool:
    """Return whether a text can be a mark in a number: one character, no digit."""
    return len(text) == 1 and not text.isalnum() and text not in "+-"


def as_numbers(texts: Any, notation: Notation) -> Any:
    """Return texts as numbers, NaN where a text is not a number.

    Parameters
    ----------
    texts : pandas Series of str
        Spaces around a number, currency signs and percent signs are ignored.
    notation : Notation

    Returns
    -------
    numbers : pandas Series of float64
    """
    pd = import_pandas()
    plain = texts.str.translate(_BLANKS).str.strip()
    plain = plain.str.replace(_MONEY, _without_money, regex=True)
    if notation.thousands is not None:
        mark, point = re.escape(notation.thousands), re.escape(notation.decimal)
        # Groups of three digits; in India, groups of two before the last three.
        grouped = rf"[+-]?\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}(?:{point}\d*)?"
        is_grouped = plain.str.fullmatch(grouped)
        without = plain.str.replace(notation.thousands, "", regex=False)
        plain = plain.mask(is_grouped, without)
    if notation.decimal != ".":
        plain = plain.mask(plain.str.contains(".", regex=False), "")
        plain = plain.str.replace(notation.decimal, ".", regex=False)
    return pd.to_numeric(plain, errors="coerce").astype(np.float64)


def _without_money(match: re.Match[str]) -> str:
    return match[1] + match[2].strip()


def as_dates(texts: Any, notation: Notation) -> Any:
    """Return texts as dates, or None if one of them is not a date.

    Parameters
    ----------
    texts : pandas Series of str
    notation : Notation

    Returns
    -------
    dates : pandas Series of datetime64, or None
    """
    format_ = date_format(texts, notation)
    return None if format_ is None else dates_of(texts, format_)


def date_format(texts: Any, notation: Notation) -> str | None:
    """Return the format in which all texts are dates, or None.

    Parameters
    ----------
    texts : pandas Series of str
    notation : Notation

    Returns
    -------
    format : str or None
    """
    for pattern, formats in _DATES.items():
        if not texts.str.fullmatch(pattern).all():
            continue
        # The last format has the day first.
        for format_ in formats[-1:] if notation.dayfirst else formats:
            if not dates_of(texts, format_).isna().any():
                return format_
    return None


def dates_of(texts: Any, format_: str) -> Any:
    """Return texts as dates, NaT where a text is not one.

    Parameters
    ----------
    texts : pandas Series of str
    format_ : str
        As `date_format` returns it.

    Returns
    -------
    dates : pandas Series of datetime64 in UTC
    """
    return import_pandas().to_datetime(texts, format=format_, errors="coerce", utc=True)


def advice(name: str, texts: Any, taken_as: str, notation: Notation) -> str | None:
    """Return a line on the option that would read a column as numbers or dates.

    Parameters
    ----------
    name : str
        Name of the column.
    texts : pandas Series of str
        Its cells that are not missing.
    taken_as : str
        How the column was read, for example "text".
    notation : Notation
        The notation it was read with.

    Returns
    -------
    line : str or None
        None for a column that is neither mostly numbers nor mostly dates.
    """
    if not len(texts):
        return None
    texts = texts.iloc[:: -(-len(texts) // _LOOKED_AT)]
    share, others = as_numbers(texts, notation).notna().mean(), []
    for marks, other in _other_notations(notation):
        more = as_numbers(texts, other).notna().mean()
        others.append((more, marks))
    best = max(more for more, _ in others)
    if best >= _MOSTLY and best > share:
        options = [marks for more, marks in others if more == best]
        # Prefer the one with fewer options.
        fewest = min(map(len, options))
        help_ = " or ".join(_in_words(o) for o in options if len(o) == fewest)
        return _line(name, texts, best, "numbers", taken_as, f"{help_} reads them")
    if share >= _MOSTLY:
        odd = _first(texts, as_numbers(texts, notation).isna())
        return _line(
            name,
            texts,
            share,
            "numbers",
            taken_as,
            f"{option('missing', [odd])} treats it as missing",
        )
    is_date = texts.str.fullmatch(r"\d{1,2}" + _SEPARATED)
    if is_date.mean() >= _MOSTLY:
        fits = as_dates(texts[is_date], replace(notation, dayfirst=True)) is not None
        help_ = "write them as 2024-02-29"
        if fits:
            help_ = f"{option('dayfirst', True)} reads them"
        if not is_date.all():
            odd = _first(texts, ~is_date)
            help_ = f"{option('missing', [odd])} treats it as missing"
        return _line(name, texts, is_date.mean(), "dates", taken_as, help_)
    return None


def ambiguous_dates(name: str, texts: Any, notation: Notation) -> str | None:
    """Return a line if dates can be read with either the day or the month first."""
    if notation.dayfirst or as_dates(texts, notation) is None:
        return None
    if not texts.str.fullmatch(r"\d{1,2}([/-])\d{1,2}\1\d{4}").all():
        return None
    first, second = (
        as_dates(texts, replace(notation, dayfirst=d)) for d in (False, True)
    )
    if second is None or (first == second).all():
        return None
    example = _first(texts, first != second)
    return (
        f"column {name!r}: {example} is read with the month first; "
        f"{option('dayfirst', True)} reads the day first"
    )


def _other_notations(notation: Notation) -> list[tuple[dict[str, Any], Notation]]:
    marks: list[dict[str, Any]] = [
        {"decimal": ","},
        {"thousands": ","},
        {"thousands": ".", "decimal": ","},
        {"thousands": " "},
        {"thousands": " ", "decimal": ","},
        {"thousands": "'"},
    ]
    plain = replace(notation, decimal=".", thousands=None)
    return [(some, replace(plain, **some)) for some in marks]


def _in_words(marks: dict[str, str]) -> str:
    return " ".join(option(name, mark) for name, mark in marks.items())


def _line(
    name: str, texts: Any, share: float, what: str, taken_as: str, help_: str
) -> str:
    of_cells = "its cells look" if share == 1 else f"{share:.0%} of its cells look"
    example = str(texts.iloc[0])[:20]
    return (
        f"column {name!r} is read as {taken_as}, but {of_cells} like {what} "
        f"({example!r}); {help_}"
    )


def _first(texts: Any, where: Any) -> str:
    return str(texts[where].iloc[0])[:20]
