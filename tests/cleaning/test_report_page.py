import base64
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known_detector import KnownDetector
from matplotlib.image import imread
from scipy.sparse import csr_array

from sknoisy import label_report
from sknoisy.cleaning._report_images import displayable, png_data_uri
from sknoisy.cleaning._report_page import escape

SCORES = np.array([0.1, 0.9, 0.6, 0.25, 0.0, 0.7])
LABELS = np.array(["ant", "bee", "ant", "bee", "cat", "ant"])
ORDER = [1, 5, 2, 3, 0, 4]
VOID = {"meta", "img", "br", "link", "input", "hr"}
KNOWN = {
    *("html", "head", "title", "style", "body", "main", "h1", "h2", "p", "div"),
    *("dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("meta", "img"),
}


class Reader(HTMLParser):
    """Checks that elements nest, and collects tables and attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.tables, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        assert tag in KNOWN, tag
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def report_of(X=None, y=LABELS, scores=SCORES, **params):
    detector = KnownDetector(scores, **params)
    return label_report(detector.fit(np.zeros((len(y), 1)), y), X, y)


def page_of(tmp_path, rows=None, y=LABELS, scores=SCORES, **options):
    path = report_of(rows, y, scores).to_html(tmp_path / "report.html", **options)
    return path.read_text(encoding="utf-8")


def rows_of(page):
    """Return head and lines of the table of suspicious rows."""
    return read(page).tables[2]


def test_the_page_is_one_well_formed_file(tmp_path):
    page = page_of(tmp_path, np.arange(12.0).reshape(6, 2))
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    reader = read(page)
    assert [a for a in reader.attributes if a[0] == "html"] == [("html", "lang", "en")]
    assert ("meta", "charset", "utf-8") in reader.attributes
    for once in ("<title>", "<h1>", "<main", "<body>"):
        assert page.count(once) == 1
    # Every table has a name, and every head says what it is the head of.
    assert len(reader.tables) == page.count("<caption>") == 3
    assert page.count("<th") - page.count("<thead") == page.count("<th scope=")


def test_the_page_loads_and_runs_nothing(tmp_path):
    images = np.zeros((6, 3, 4, 4), dtype=np.uint8)
    page = page_of(tmp_path, images)
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    for forbidden in (
        "http:",
        "https:",
        "//",
        "<script",
        "@import",
        "url(",
        "javascri",
    ):
        assert forbidden not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page), forbidden
    for _, name, value in read(page).attributes:
        assert name not in ("href", "action", "srcset") and not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/png;base64,")


def test_the_summary(tmp_path):
    report = report_of(rate=0.4)
    text = " ".join(read(report.to_html(tmp_path / "a.html").read_text()).text)
    rate = "between 40% (the detector's estimate) and 50% (flagged labels), depend"
    for words in ("KnownDetector", "3 (50.0%)", rate, "err in a systematic way"):
        assert words in text
    assert "interval" not in text and "confidence" not in text


@pytest.mark.parametrize("calibrated", [False, True])
def test_scores_are_called_what_they_are(tmp_path, calibrated):
    report = report_of(calibrated=calibrated)
    page = report.to_html(tmp_path / "a.html").read_text()
    for text in (page, report._repr_html_()):
        assert ("probability of a wrong label" in text) is calibrated
        assert ("suspicion" in text) is not calibrated
    assert "noise probability" not in page


def test_the_tables_have_the_numbers_of_the_report(tmp_path):
    report = report_of()
    page = report.to_html(tmp_path / "a.html").read_text()
    confusion, classes, _ = read(page).tables
    assert confusion[0] == ["given", "ant", "bee", "cat"]
    assert [[int(n) for n in line[1:]] for line in confusion[1:]] == (
        report.confusion.to_numpy().tolist()
    )
    assert [line[0] for line in confusion[1:]] == ["ant", "bee", "cat"]
    assert classes[1:] == [
        ["ant", "3", "2", "66.7%", "0.467", "bee"],
        ["bee", "2", "1", "50.0%", "0.575", "cat"],
        ["cat", "1", "0", "0.0%", "0.000", "none"],
    ]


def test_the_rows_come_most_suspicious_first(tmp_path):
    lines = rows_of(page_of(tmp_path))
    assert lines[0] == [
        "row",
        "given",
        "suggested",
        "suspicion",
        "flagged",
    ]
    assert [int(line[0]) for line in lines[1:]] == ORDER
    assert lines[1] == ["1", "bee", "cat", "0.900", "yes"]
    assert lines[4] == ["3", "bee", "bee", "0.250", "no"]


def test_max_rows(tmp_path):
    assert len(rows_of(page_of(tmp_path, max_rows=2))) == 3
    page = page_of(tmp_path, max_rows=0, overwrite=True)
    assert len(read(page).tables) == 2 and "No rows are shown" in page


class TestFeatures:
    def test_of_a_frame(self, tmp_path):
        table = pd.DataFrame(
            {"size": [1.5, 2.25, 3, 4, 5, 6], "n": range(6), "word": list("abcdef")},
            index=list("uvwxyz"),
        )
        lines = rows_of(page_of(tmp_path, table))
        assert lines[0][5:] == ["size", "n", "word"]
        assert lines[1] == ["v", "bee", "cat", "0.900", "yes", "2.25", "1", "b"]

    def test_of_a_polars_frame(self, tmp_path):
        table = pl.DataFrame({"n": range(6), "word": list("abcdef")})
        lines = rows_of(page_of(tmp_path, table))
        assert lines[0][5:] == ["n", "word"] and lines[1][5:] == ["1", "b"]

    @pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist])
    def test_of_a_matrix(self, tmp_path, kind):
        lines = rows_of(page_of(tmp_path, kind(np.arange(12.0).reshape(6, 2))))
        assert lines[0][5:] == ["feature 0", "feature 1"]
        assert lines[1][5:] == ["2", "3"]

    @pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series])
    def test_of_texts(self, tmp_path, kind):
        lines = rows_of(page_of(tmp_path, kind([f"text {i}" for i in range(6)])))
        assert lines[0][5:] == ["content"]
        assert [line[5] for line in lines[1:]] == [f"text {i}" for i in ORDER]

    def test_sparse_ones_are_not_shown(self, tmp_path):
        page = page_of(tmp_path, csr_array(np.eye(6)))
        assert len(rows_of(page)[0]) == 5 and "sparse and not shown" in page

    def test_only_the_first_columns_and_characters(self, tmp_path):
        lines = rows_of(page_of(tmp_path, np.zeros((6, 64))))
        assert len(lines[0]) == 25
        page = page_of(tmp_path, ["word " * 1000] * 6, overwrite=True)
        assert len(rows_of(page)[1][5]) == 502

    def test_another_x_for_the_eye(self, tmp_path):
        texts = [f"text {i}" for i in range(6)]
        page = page_of(tmp_path, np.zeros((6, 2)), X=texts)
        assert rows_of(page)[1][5] == "text 1"
        with pytest.raises(ValueError, match="inconsistent numbers"):
            page_of(tmp_path, None, X=texts[:5], overwrite=True)


class TestImages:
    def images_in(self, page):
        uris = [v for _, name, v in read(page).attributes if name == "src"]
        return [imread(io.BytesIO(base64.b64decode(u.split(",")[1]))) for u in uris]

    @pytest.mark.parametrize("shape", [(6, 3, 5, 7), (6, 1, 5, 7), (6, 5, 7)])
    def test_of_bytes_are_shown_as_they_are(self, tmp_path, shape):
        X = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        shown = self.images_in(page_of(tmp_path, X))
        assert len(shown) == 6
        for row, image in zip(ORDER, shown, strict=True):
            expected = X[row].reshape(-1, 5, 7)
            expected = (
                expected[0] if len(expected) == 1 else expected.transpose(1, 2, 0)
            )
            np.testing.assert_array_equal(np.rint(image * 255), expected)

    def test_channels_may_be_last(self, tmp_path):
        X = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 7)).astype(np.uint8)
        first = page_of(tmp_path, X)
        assert page_of(tmp_path, X.transpose(0, 2, 3, 1), overwrite=True) == first

    def test_have_a_text_for_those_who_do_not_see_them(self, tmp_path):
        page = page_of(tmp_path, np.zeros((6, 1, 4, 4)))
        alts = [v for tag, name, v in read(page).attributes if name == "alt"]
        assert alts == [f"image {row}" for row in ORDER]

    def test_floats_in_the_unit_interval_keep_their_brightness(self):
        image = np.array([[[0.2, 0.4]]])
        assert displayable(image).tolist() == [[51, 102]]

    def test_other_values_are_stretched(self):
        assert displayable(np.array([[[-1.0, 0.0, 1.0]]])).tolist() == [[0, 128, 255]]
        assert displayable(np.full((1, 2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]
        assert displayable(np.array([[[np.nan, np.inf, 1.0]]])).tolist() == [
            [0, 0, 255]
        ]

    def test_odd_numbers_of_channels(self):
        image = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
        np.testing.assert_array_equal(displayable(image), image[0])
        np.testing.assert_array_equal(
            displayable(image[:4]), image[:3].transpose(1, 2, 0)
        )

    def test_large_ones_are_thinned(self):
        assert displayable(np.zeros((3, 300, 128), np.uint8)).shape == (100, 43, 3)

    @examples(50)
    @given(
        arrays(np.uint8, st.sampled_from([(1, 1), (3, 5), (2, 4, 3), (1, 1, 3)])),
    )
    def test_a_png_is_read_back_bit_for_bit(self, image):
        data = base64.b64decode(
            png_data_uri(image).removeprefix("data:image/png;base64,")
        )
        back = np.rint(imread(io.BytesIO(data)) * 255)
        np.testing.assert_array_equal(back, image)


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table></main><h1>x",
    "a & b &lt; c",
    "' onload='x",
]


class TestEscaping:
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_labels_names_texts_and_index(self, tmp_path, attack):
        y = np.array([attack, "b", attack, "b", "c", attack], dtype=object)
        table = pd.DataFrame({attack: [attack] * 6}, index=[attack] * 6)
        page = page_of(tmp_path, table, y)
        confusion, classes, rows = read(page).tables
        assert attack in confusion[0] and attack in [line[0] for line in classes]
        assert rows[0][5] == attack
        assert all(line[0] == line[5] == attack for line in rows[1:])
        assert "<script" not in page and "<img" not in page

    def test_quotes_cannot_close_an_attribute(self):
        assert escape("\"'<>&") == "&quot;&#x27;&lt;&gt;&amp;"

    def test_in_a_notebook(self):
        y = np.array([ATTACKS[0], "b", "b", "b", "c", ATTACKS[0]])
        fragment = report_of(None, y)._repr_html_()
        assert "<script" not in fragment
        assert ATTACKS[0] in [line[0] for line in read(fragment).tables[0]]

    @pytest.mark.slow
    @examples(200)
    @given(st.text())
    def test_any_text_is_read_back_or_replaced(self, text):
        reader = Reader()
        reader.feed(f"<p>{escape(text)}</p>")
        reader.close()
        back = "".join(reader.text)
        assert len(back) == len(text)
        for a, b in zip(back, text, strict=True):
            assert a == b or a == "\ufffd"

    def test_control_characters_and_lone_surrogates(self, tmp_path):
        texts = ["a\x00b", "a\ud800b", "naïve 漢字 🙂", "x", "y", "z"]
        page = page_of(tmp_path, texts)
        shown = {line[0]: line[5] for line in rows_of(page)[1:]}
        assert shown["0"] == shown["1"] == "a\ufffdb"
        assert shown["2"] == texts[2]


def test_many_classes_are_cut_to_those_with_changes(tmp_path):
    y = np.arange(300) % 100
    scores = np.where(np.isin(y, [40, 60]), 0.9, 0.0)
    page = page_of(tmp_path, None, y, scores)
    confusion, classes, _ = read(page).tables
    assert len(confusion) == 21 and len(classes) == 101
    assert {"40", "41", "60", "61"} <= set(confusion[0])
    assert "The 20 of 100 classes" in page


def test_a_notebook_shows_the_summary():
    fragment = report_of()._repr_html_()
    reader = read(fragment)
    assert "KnownDetector" in reader.text and len(reader.tables) == 2
    # Rules of the notebook's own elements would change the rest of it.
    style = fragment[fragment.index("<style>") + 7 : fragment.index("</style>")]
    for selector in re.findall(r"(?:^|\})\s*([^{}]+)\{", style):
        assert all(s.strip().startswith(".sknoisy") for s in selector.split(","))


class TestFiles:
    def test_nothing_is_overwritten_unless_asked(self, tmp_path):
        path = tmp_path / "report.html"
        path.write_text("mine")
        with pytest.raises(FileExistsError, match="pass overwrite=True"):
            report_of().to_html(path)
        assert path.read_text() == "mine"
        assert report_of().to_html(str(path), overwrite=True) == path
        assert path.read_text().startswith("<!DOCTYPE html>")

    def test_a_failed_page_leaves_no_file(self, tmp_path):
        path = tmp_path / "report.html"
        for options in ({"max_rows": -1}, {"X": ["a"]}):
            with pytest.raises(ValueError, match=r"max_rows|inconsistent"):
                report_of().to_html(path, **options)
            assert not path.exists()

    def test_a_failed_write_leaves_the_page_that_was_there(self, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("mine")
        path.chmod(0o600)

        def fail(*args, **kwargs):
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail)
            with pytest.raises(OSError, match="no space left"):
                report_of().to_html(path, overwrite=True)
        assert path.read_text() == "mine" and os.listdir(tmp_path) == [path.name]
        report_of().to_html(path, overwrite=True)
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(
            ValueError, match="path '/dev/null' is a device; give a file"
        ):
            report_of().to_html("/dev/null", overwrite=True)

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="No such file"):
            report_of().to_html(tmp_path / "nowhere" / "report.html")
