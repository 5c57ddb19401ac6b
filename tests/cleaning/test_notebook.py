"""What a notebook shows of a report, and where `review` shows its page."""

import html
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from known_detector import KnownDetector

from sknoisy import label_report
from sknoisy.cleaning import _notebook
from sknoisy.datasets import ImageRows

N = 40
SCORES = np.linspace(0.9, 0.1, N)


def report_of(X, y=None, scores=SCORES):
    y = np.array(["ant", "bee"])[np.arange(len(scores)) % 2] if y is None else y
    return label_report(KnownDetector(scores), X, y)


def plain_report():
    return report_of(np.zeros((N, 1)))


def test_the_ten_most_suspicious_rows_are_shown():
    X = pd.DataFrame({"size": np.arange(N), "note": [f"<i>note {i}" for i in range(N)]})
    fragment = report_of(X)._repr_html_()
    assert re.findall(r"&lt;i&gt;note (\d+)", fragment) == list("0123456789")
    assert "<script" not in fragment and "<i>" not in fragment
    assert not re.search(r'(?:src|href)="(?!data:)', fragment)


@pytest.mark.parametrize("kind", ["columns", "texts", "images", "classes"])
def test_it_is_bounded(kind):
    rng, y, scores = np.random.default_rng(0), None, SCORES
    if kind == "columns":
        names = ["c" * 999 + str(i) for i in range(500)]
        X = pd.DataFrame(rng.normal(size=(N, 500)), columns=names)
    elif kind == "texts":
        X = ["&" * 1_000_000] * N
    elif kind == "images":
        X = rng.integers(0, 256, size=(N, 3, 500, 500), dtype=np.uint8)
    else:
        y = [f"{i // 2:05d}{'<' * 2000}" for i in range(600)]
        X, scores = np.zeros((600, 1)), np.linspace(0.9, 0.1, 600)
    fragment = report_of(X, y, scores)._repr_html_()
    assert 2000 < len(fragment) < 300_000
    if kind == "classes":
        assert "The 20 of 300 classes with the most flags." in fragment


def test_images_that_are_gone_are_left_out(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i in range(N):
        image.new("RGB", (8, 8), (5 * i, 0, 0)).save(tmp_path / f"{i}.png")
    report = report_of(ImageRows([f"{i}.png" for i in range(N)], folder=tmp_path))
    assert report._repr_html_().count("<img") == 10
    (tmp_path / "3.png").unlink()
    fragment = report._repr_html_()
    assert "<img" not in fragment and "Most suspicious rows" in fragment


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Addresses that were opened in a browser which is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    found = []
    monkeypatch.setattr("webbrowser.open", lambda url: not found.append(url))
    return found


def test_outside_a_notebook_the_browser_opens_the_page(opened, tmp_path, monkeypatch):
    report = plain_report()
    page = tmp_path / "review.html"
    assert report.review() == page.relative_to(tmp_path) and page.exists()
    assert opened == [page.as_uri()]
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        report.review()
    # With a path it is written for others, and nobody asked to see it.
    report.review("other.html")
    report.review(overwrite=True, show=False)
    assert len(opened) == 1
    report.review("other.html", overwrite=True, show=True)
    assert opened[1:] == [(tmp_path / "other.html").as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    with pytest.warns(UserWarning, match="no browser could be opened; open third.html"):
        report.review("third.html", show=True)
    assert "IPython" not in sys.modules


@pytest.fixture
def notebook(monkeypatch, opened):
    """A shell of a notebook: the real one if IPython is here, else one like it."""
    shell = SimpleNamespace(kernel=object())
    try:
        import IPython
    except ImportError:
        IPython, display = ModuleType("IPython"), ModuleType("IPython.display")
        display.HTML = lambda data: SimpleNamespace(data=data)
        monkeypatch.setitem(sys.modules, "IPython.display", display)
        IPython.display = display
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    return shell


@pytest.mark.usefixtures("notebook")
def test_in_a_notebook_the_cell_shows_the_page(opened, tmp_path):
    report = report_of(["<b>one", '"two" &amp;'] * (N // 2))
    frame = report.review().data
    assert opened == [] and list(tmp_path.iterdir()) == []
    inner = re.search(r'srcdoc="([^"]*)"', frame)[1]
    # IPython warns of HTML that begins with a frame.
    assert frame.startswith("<div><iframe") and frame.endswith('"></iframe></div>')
    path = report.review("page.html")
    assert html.unescape(inner) == path.read_text(encoding="utf-8")
    assert report.review("page.html", overwrite=True, show=True).data == frame
    assert report.review(show=False).exists()


def test_a_shell_in_a_terminal_is_no_notebook(notebook, opened):
    del notebook.kernel
    assert not _notebook.in_notebook()
    plain_report().review()
    assert len(opened) == 1
