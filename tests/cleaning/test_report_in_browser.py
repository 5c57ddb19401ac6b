import re
import subprocess

import numpy as np
import pytest
from browser import program
from known_detector import KnownDetector
from matplotlib.image import imread

from sknoisy import label_report


@pytest.fixture
def browse(tmp_path):
    """Open a page in a browser without a window, and return what it prints."""
    path, profile = program(), tmp_path / "profile"

    def run(page, *options):
        # No name of a host is resolved: what needs a network cannot load.
        command = [
            *(path, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"),
            *(*options, page.as_uri()),
        ]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    return run


def red_and_green(tmp_path):
    attack = "<script>document.title = 'broken in'</script>"
    y = np.array(["red", attack, "red", attack])
    X = np.zeros((4, 3, 8, 8), dtype=np.uint8)
    X[:2, 0], X[2:, 1] = 250, 200
    detector = KnownDetector([0.9, 0.8, 0.2, 0.1]).fit(X, y)
    return label_report(detector, X, y).to_html(tmp_path / "report.html"), attack


@pytest.mark.slow
def test_the_browser_reads_the_page_and_runs_nothing(browse, tmp_path):
    path, attack = red_and_green(tmp_path)
    dom = browse(path, "--dump-dom")
    assert "<title>Label report</title>" in dom
    assert attack.replace("<", "&lt;").replace(">", "&gt;") in dom
    # The parser of the browser moved, closed or dropped nothing.
    kept = ("<table>", "<tr>", "<td", "<th", "<img", "</caption>", "<dd>", "</html>")
    page = path.read_text()
    assert [dom.count(tag) for tag in kept] == [page.count(tag) for tag in kept]
    assert "<script" not in dom


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_the_browser_paints_images_text_and_scheme(browse, tmp_path, dark):
    path, _ = red_and_green(tmp_path)
    picture = tmp_path / "picture.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browse(path, f"--screenshot={picture}", "--window-size=1000,1400", *scheme)
    pixels = np.rint(imread(picture)[..., :3] * 255).astype(int).reshape(-1, 3)
    # Two images of 96 x 96 pixels each, if the PNGs are ones. Where an edge is not at a
    # whole pixel, the browser blends its line with the background.
    for color in ([250, 0, 0], [0, 200, 0]):
        n_pixels = (pixels == color).all(axis=1).sum()
        assert 2 * 95 * 95 <= n_pixels <= 2 * 96 * 96
    background = np.median(pixels, axis=0)
    is_dark = background.max() < 60
    assert is_dark == dark
    # Text is there, and as far from the background as black is from white.
    contrast = pixels.min() if not dark else pixels.min(axis=1).max()
    assert contrast < 30 if not dark else contrast > 220


def test_nothing_in_the_page_needs_a_host(tmp_path):
    path, _ = red_and_green(tmp_path)
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", path.read_text())
