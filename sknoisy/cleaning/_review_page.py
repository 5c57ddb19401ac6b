"""The page on which people decide about labels: one file that fetches nothing.

Its own script is the only one that may run: the content policy holds its hash. Without
scripts the page is a plain list of the rows.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from sknoisy.cleaning._report_page import PAGE_STYLE, SCORE_HEAD, STYLE, escape, tables
from sknoisy.cleaning._review_content import contents
from sknoisy.cleaning._review_neighbours import codes_of, neighbours

__all__ = ["policy", "review_page", "script"]

# Bytes that images may need in all.
_MAX_IMAGES = 3_500_000

_STYLE = """
:root { --ring: rgb(25 95 215); }
@media (prefers-color-scheme: dark) { :root { --ring: rgb(140 185 255); } }
body { max-width: 68rem; padding: 1rem; }
.sknoisy #work { position: sticky; top: 0; z-index: 1; background: Canvas;
  border-bottom: 1px solid GrayText; padding: .3rem 0; }
.sknoisy #progress { margin: .2rem 0; }
.sknoisy progress { width: 100%; height: .6rem; }
.sknoisy .bar, .sknoisy .controls { display: flex; flex-wrap: wrap; gap: .4rem .8rem;
  align-items: center; margin: .4rem 0; }
.sknoisy .bar label { display: inline-flex; gap: .3rem; align-items: center; }
.sknoisy button, .sknoisy select, .sknoisy input { font: inherit; padding: .2rem .5rem;
  max-width: 100%; }
.sknoisy input[type=number] { width: 5rem; }
.sknoisy kbd { font-size: .8em; border: 1px solid GrayText; border-radius: .2rem;
  padding: 0 .3em; margin-left: .2em; }
.sknoisy button[aria-pressed=true] { outline: .2rem solid var(--ring);
  font-weight: 600; }
.sknoisy #rows { list-style: none; margin: 0; padding: 0; }
.sknoisy .row { border: 1px solid rgb(128 128 128 / .5); border-radius: .4rem;
  padding: .4rem .9rem; margin: 1rem 0; }
.sknoisy .row.decided { border-left: .4rem solid rgb(40 140 90); }
.sknoisy .row:focus-within { outline: .2rem solid var(--ring); }
.sknoisy .row h2 { font-size: 1.1rem; font-weight: 400; margin: .3rem 0; outline: none;
  overflow-wrap: anywhere; }
.sknoisy .row h2 b { font-weight: 700; }
.sknoisy .row h3 { font-size: .95rem; margin: .4rem 0 .1rem; overflow-wrap: anywhere; }
.sknoisy .facts, .sknoisy .state, .sknoisy figcaption, .sknoisy .name {
  opacity: .8; margin: .2rem 0; }
.sknoisy .row .text { max-width: none; margin: .3rem 0; }
.sknoisy .beside { display: grid; gap: .2rem 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); }
.sknoisy .images { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; }
.sknoisy .images .beside { flex: 1 1 16rem; align-content: start; }
.sknoisy .near { display: flex; flex-wrap: wrap; gap: .6rem; }
.sknoisy figure { margin: .2rem 0; font-size: .9rem; }
.sknoisy .large img { width: 12rem; max-width: 100%; }
.sknoisy figure img { width: 5rem; }
.sknoisy .far { font-weight: 600; background: rgb(220 110 20 / .2); }
.sknoisy .far em { font-weight: 400; font-size: .85em; }
.sknoisy .row td { white-space: nowrap; }
@media (max-width: 40rem) {
  .sknoisy #work { position: static; }
  .sknoisy .far em { display: block; }
}
"""

_WORK = """<section id="work" aria-label="Work" hidden>
<progress id="bar" aria-label="Rows decided" value="0" max="1"></progress>
<p id="progress" role="status"></p>
<div class="bar">
<button type="button" id="csv">Download decisions.csv</button>
<button type="button" id="json">Download decisions.json</button>
<span id="saved" role="status"></span>
</div>
<details><summary>Filter, sort, load</summary>
<div class="bar">
<label>given <select id="by-given"><option value="">all</option></select></label>
<label>suggested <select id="by-suggested"><option value="">all</option>
</select></label>
<label>part <select id="by-sample"><option value="">all</option>
<option value="rank">ranking</option>
<option value="stratum">random sample</option></select></label>
<label>decision <select id="by-state"><option value="">all</option>
<option value="open">not decided</option>
<option value="done">decided</option></select></label>
<label>least score
<input id="by-score" type="number" min="0" max="1" step="0.05"></label>
<label>order <select id="order"><option value="list">as listed</option>
<option value="score">most suspicious first</option>
<option value="least">least suspicious first</option>
<option value="row">by row</option></select></label>
<label>load decisions <input id="load" type="file" accept=".csv,.json"></label>
<span id="loaded" role="status"></span>
</div></details>
<details id="help"><summary>Keys</summary>
<p><kbd>A</kbd> accept the suggestion, <kbd>K</kbd> keep the given label, <kbd>O</kbd>
choose another label (then Enter), <kbd>X</kbd> exclude: no label fits, <kbd>U</kbd>
unsure, <kbd>C</kbd> clear the decision, <kbd>N</kbd> or <kbd>J</kbd> next row,
<kbd>P</kbd> previous row, <kbd>Z</kbd> undo, <kbd>?</kbd> this help. Each decision goes
on to the next row.</p></details>
</section>
"""
_PAGES = """<nav class="bar" aria-label="Pages">
<button type="button" id="before">Previous 50</button>
<span id="place" role="status"></span>
<button type="button" id="after">Next 50</button>
</nav>
"""


@cache
def script() -> str:
    """Return the script of the page."""
    source = files("sknoisy.cleaning").joinpath("review_script.js")
    return source.read_text(encoding="utf-8")


def policy() -> str:
    """Return the content policy: of all scripts, only that of the hash may run."""
    digest = hashlib.sha256(script().encode("utf-8")).digest()
    encoded = base64.b64encode(digest).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{encoded}'; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def review_page(
    report: Any, sample: Any, X: Any, embeddings: Any, name: str | None
) -> str:
    """Return the whole page.

    Parameters
    ----------
    report : LabelReport
    sample : pandas DataFrame
        The rows, as `LabelReport.sample_for_review` returns them.
    X : array-like of shape (n_samples, ...) or None
        What to show of each row.
    embeddings : array-like of shape (n_samples, ...) or None
        What to find the nearest rows by.
    name : str or None
        What was audited, for the title.

    Returns
    -------
    page : str
    """
    title = f"Label review of {name}" if name else "Label review"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{PAGE_STYLE}{STYLE}{_STYLE}</style>\n</head>\n"
        f'<body>\n<main class="sknoisy">\n<h1>{escape(title)}</h1>\n'
        f"{_introduction(sample)}{_WORK}"
        f'<ol id="rows">\n{"".join(_rows(report, sample, X, embeddings))}</ol>\n'
        f"{_PAGES}<details><summary>About this audit</summary>\n"
        f"{tables(report, report._counts())}</details>\n</main>\n"
        f"{_data(report)}<script>{script()}</script>\n</body>\n</html>\n"
    )


def _introduction(sample: Any) -> str:
    is_ranked = sample["sample"].str.startswith("rank")
    return (
        f"<p>{int(is_ranked.sum()):,} flagged rows, the most suspicious first, then "
        f"{int((~is_ranked).sum()):,} rows drawn at random. The first are for "
        "correcting labels; the second tell how many of all labels are wrong, and "
        "count only if all of them are decided. Decide by what you see, not by the "
        "suggestion.</p>\n<noscript><p>Scripts are off: this is a list to read, "
        "without decisions.</p></noscript>\n"
    )


def _rows(report: Any, sample: Any, X: Any, embeddings: Any) -> list[str]:
    index = sample["row"].to_numpy()
    source = X if embeddings is None else embeddings
    shown = contents(X, index, neighbours(report, index, source), _MAX_IMAGES)
    checksums = report.row_checksums(index)
    score_head = SCORE_HEAD[report.scores_are_probabilities]
    frame = report.frame.iloc[index]
    given, suggested = (frame[c].to_numpy() for c in ("given_label", "suggested_label"))
    scores = frame[report.score_name].to_numpy()
    codes, lines = codes_of(report), []
    for i, row in enumerate(index.tolist()):
        part, probability = (
            sample["sample"].iloc[i],
            sample["sample_probability"].iloc[i],
        )
        chance = "" if np.isnan(probability) else repr(float(probability))
        says = (
            f"suggested <b>{escape(suggested[i])}</b>"
            if suggested[i] != given[i]
            else "no other label suggested"
        )
        drawn = " · drawn at random" if part.startswith("stratum") else ""
        lines.append(
            f'<li class="row" data-row="{row}" data-sha="{checksums[i]}" '
            f'data-given="{codes[0][row]}" data-suggested="{codes[1][row]}" '
            f'data-score="{scores[i]:.6f}" data-sample="{part}" '
            f'data-probability="{chance}">'
            f'<h2 tabindex="-1">Row {row}{_named(frame, i)}: '
            f"given <b>{escape(given[i])}</b>, {says}</h2>\n"
            f'<p class="facts">{score_head} {scores[i]:.3f} · {part}{drawn}</p>\n'
            f"{shown[i]}</li>\n"
        )
    return lines


def _named(frame: Any, place: int) -> str:
    """Return the index of a row, if the table has one of its own."""
    name = frame.index[place]
    is_number = isinstance(name, int | np.integer)
    return "" if is_number else f" ({escape(name)})"


def _data(report: Any) -> str:
    names = [str(name) for name in report.classes]
    text = json.dumps({"audit_id": report.audit_id, "classes": names})
    # Neither "</script>" nor "<!--" may end the block.
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="audit">{text}</script>\n'
