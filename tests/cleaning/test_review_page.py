import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pytest
from known_detector import KnownDetector
from scipy.sparse import csr_array

from sknoisy import label_report
from sknoisy.cleaning._review_neighbours import nearest_rows, usual_rows
from sknoisy.datasets import RowSource

N = 90
RNG = np.random.default_rng(0)
SCORES = np.concatenate([np.linspace(0.99, 0.51, 12), RNG.random(N - 12) / 2.1])
LABELS = np.array(["ant", "bee", "cat"])[np.arange(N) % 3]
VOID = {"meta", "input", "img", "br"}


class Rows(HTMLParser):
    """Check that tags are closed in order; collect rows, scripts and texts."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.rows, self.scripts, self.ids = [], [], [], []
        self.feed(page)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "li":
            self.rows.append({**attrs, "text": "", "images": []})
        if tag == "img":
            self.rows[-1]["images"].append(attrs["src"])
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif "li" in self.stack:
            self.rows[-1]["text"] += data


def report_of(X, scores=SCORES, y=LABELS):
    return label_report(KnownDetector(scores), X, y)


def page_of(report, tmp_path, **options):
    path = report.review(tmp_path / "review.html", overwrite=True, **options)
    return Rows(path.read_text(encoding="utf-8")), path


@pytest.fixture
def report():
    # Numbers tell the classes apart; row 0 is like a bee.
    size = np.arange(N) % 3 * 10 + RNG.normal(size=N)
    size[0] = 10
    return report_of(pd.DataFrame({"weight": RNG.normal(size=N), "size": size}))


def test_the_policy_holds_the_hash_of_the_script(report, tmp_path):
    page, path = page_of(report, tmp_path)
    data, script = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', path.read_text())
    assert policy[1] == (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert json.loads(data) == {
        "audit_id": report.audit_id,
        "classes": ["ant", "bee", "cat"],
    }
    # What is missing in the page would be null in the script.
    wanted = set(re.findall(r'byId\("([a-z-]+)"\)', script))
    assert wanted <= set(page.ids) and len(set(page.ids)) == len(page.ids)


def test_nothing_is_fetched(report, tmp_path):
    _, path = page_of(report, tmp_path)
    text = path.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)


def test_the_rows_are_the_flagged_ones_and_the_sample(report, tmp_path):
    page, _ = page_of(report, tmp_path, n_random=30, random_state=1)
    sample = report.sample_for_review(42, share_random=30 / 42, random_state=1)
    assert [int(row["data-row"]) for row in page.rows] == sample["row"].tolist()
    assert [row["data-sample"] for row in page.rows] == sample["sample"].tolist()
    sums = report.row_checksums(sample["row"].to_numpy())
    assert [row["data-sha"] for row in page.rows] == sums
    chances = [float(row["data-probability"] or "nan") for row in page.rows]
    np.testing.assert_array_equal(chances, sample["sample_probability"])
    names = ["ant", "bee", "cat"]
    given = [names[int(row["data-given"])] for row in page.rows]
    assert given == sample["given_label"].tolist()
    suggested = [names[int(row["data-suggested"])] for row in page.rows]
    assert suggested == sample["suggested_label"].tolist()


def test_the_number_of_rows_is_limited(report, tmp_path):
    page, _ = page_of(report, tmp_path, max_rows=5, n_random=0)
    assert [row["data-sample"] for row in page.rows] == [
        f"rank {i}" for i in range(1, 6)
    ]
    assert page_of(report, tmp_path, max_rows=0, n_random=0)[0].rows == []
    assert len(page_of(report, tmp_path, max_rows=N, n_random=N)[0].rows) == N


def test_features_that_stand_out_come_first(report, tmp_path):
    page, path = page_of(report, tmp_path, n_random=0)
    text = next(row["text"] for row in page.rows if row["data-row"] == "0")
    # Its size is that of a bee, which is suggested.
    assert "given ant, suggested bee" in text
    assert text.index("size") < text.index("weight")
    assert "10 unusual" in text and "usual in ant" in text and "usual in bee" in text
    usual = r"<em>unusual</em></td><td>(-?[\d.]+) to (-?[\d.]+)</td>"
    low, high = map(float, re.findall(usual, path.read_text())[0])
    ants = (LABELS == "ant") & (SCORES <= 0.5)
    expected = np.percentile(report.X["size"].to_numpy()[ants], [25, 75])
    np.testing.assert_allclose((low, high), expected, rtol=1e-3)


@pytest.mark.parametrize("kind", [np.asarray, csr_array, pl.DataFrame, list])
def test_tables_of_all_kinds_are_shown(tmp_path, kind):
    X = np.column_stack([SCORES, np.arange(N)])
    if kind is pl.DataFrame:
        X = {"a": X[:, 0], "b": ["red", None] * (N // 2)}
    elif kind is list:
        X, kind = {"c": ["1.5", ""] * (N // 2), "d": SCORES}, pd.DataFrame
    page, _ = page_of(report_of(kind(X)), tmp_path)
    assert all("usual in" in row["text"] for row in page.rows)


def test_texts_come_first_and_long(tmp_path):
    texts = [f"row {i} " + "words of it " * 300 for i in range(N)]
    frame = pd.DataFrame({"n": SCORES, "body": texts})
    for X in (frame, texts):
        page, _ = page_of(report_of(np.zeros((N, 1))), tmp_path, X=X, n_random=0)
        text = page.rows[0]["text"]
        assert "… (" in text and len(text) > 3000
        assert text.count("row 0 words") == 1 and "Nearest" in text
        if X is frame:
            assert text.index("words of it") < text.index("this row")


def test_images_are_shown_with_their_neighbours(tmp_path):
    images = np.zeros((N, 3, 40, 300), dtype=np.uint8)
    images[:, 0] = (np.arange(N) % 3 * 100)[:, None, None]
    page, _ = page_of(report_of(images), tmp_path, n_random=0)
    assert all(len(row["images"]) == 5 for row in page.rows)
    for row in page.rows:
        given = row["data-given"]
        assert (
            f"Nearest images labelled {['ant', 'bee', 'cat'][int(given)]}"
            in row["text"]
        )
    grey = images.transpose(0, 2, 3, 1)[..., 0] / 255.0
    pages = [
        page_of(report_of(grey), tmp_path, X=X, n_random=0)[0]
        for X in (images.transpose(0, 2, 3, 1), list(grey))
    ]
    assert all(len(row["images"]) == 5 for page in pages for row in page.rows)


@pytest.mark.slow
def test_many_large_images_stay_small(tmp_path):
    noise = RNG.integers(0, 256, size=(N, 3, 160, 160), dtype=np.uint8)
    scores = np.full(N, 0.9)
    _, path = page_of(report_of(noise, scores), tmp_path, n_random=0)
    assert path.stat().st_size < 5e6


def test_rows_on_disk_are_fetched_in_part(tmp_path):
    asked = []

    class Stored(RowSource):
        shape, dtype = (N, 1, 8, 8), np.dtype(np.uint8)

        def fetch(self, index):
            asked.append(len(index))
            return np.full((len(index), 1, 8, 8), 7, dtype=np.uint8)

    page, _ = page_of(report_of(np.zeros((N, 1))), tmp_path, X=Stored(), n_random=0)
    assert len(page.rows[0]["images"]) == 5 and max(asked) <= N


def test_without_features_rows_are_listed(tmp_path):
    detector = KnownDetector(SCORES).fit(np.zeros((N, 1)), LABELS)
    page, _ = page_of(label_report(detector, None, LABELS), tmp_path)
    assert "No features were given." in page.rows[0]["text"]


def test_attacks_stay_text(tmp_path):
    attack = "</script><script>alert(1)</script><!--"
    labels = np.where(np.arange(N) % 2, attack, "b\"'&")
    frame = pd.DataFrame({attack: [attack] * N, "t": [attack * 3] * N, "s": SCORES})
    page, path = page_of(report_of(frame, SCORES, labels), tmp_path, name=attack)
    assert len(page.scripts) == 2 and attack in json.loads(page.scripts[0])["classes"]
    assert "alert(1)</script>" not in path.read_text().replace("&lt;", "")
    assert attack in page.rows[0]["text"]


def test_a_named_index_is_shown(tmp_path):
    frame = pd.DataFrame({"a": SCORES}, index=[f"r{i}" for i in range(N)])
    page, _ = page_of(report_of(frame), tmp_path, n_random=0)
    assert "Row 0 (r0): given ant" in page.rows[0]["text"]


@pytest.mark.slow
def test_an_audit_of_100_000_rows_is_below_5_mb(tmp_path):
    n_rows = 100_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 40)).round(4))
    frame.columns = [f"column number {i}" for i in range(40)]
    frame["text"] = np.array(["some words of a comment " * 40, "other words " * 100])[
        rng.integers(0, 2, n_rows)
    ]
    labels = np.arange(n_rows) % 20
    report = report_of(frame, rng.random(n_rows), labels)
    page, path = page_of(report, tmp_path)
    assert len(page.rows) > 290 and path.stat().st_size < 5e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rows": -1}, "max_rows == -1"),
        ({"n_random": -1}, "n_random == -1"),
        ({"X": np.zeros((3, 1))}, "inconsistent numbers"),
        ({"embeddings": np.zeros((3, 1))}, "inconsistent numbers"),
    ],
)
def test_bad_arguments_are_refused(report, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        report.review(tmp_path / "review.html", **options)


def test_an_existing_page_is_kept(report, tmp_path):
    path = report.review(tmp_path / "review.html")
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        report.review(path)


class TestNeighbours:
    def test_they_are_the_nearest_of_their_class(self):
        X = RNG.normal(size=(60, 3))
        codes, index = np.arange(60) % 3, np.array([4, 9, 30])
        usual = usual_rows(codes, np.zeros(60, dtype=bool), np.arange(3))
        asked = np.array([1, 2, 0])
        found = nearest_rows(X, index, asked, usual, 2)
        scaled = (X - X.mean(axis=0)) / X.std(axis=0)
        for row, code, rows in zip(index, asked, found, strict=True):
            others = [i for i in np.flatnonzero(codes == code) if i != row]
            others.sort(key=lambda i: np.linalg.norm(scaled[i] - scaled[row]))
            assert rows == others[:2]

    def test_rows_in_doubt_are_no_examples(self):
        codes = np.array([0, 0, 0, 1, 1, 1])
        flags = np.array([True, False, False, True, True, True])
        usual = usual_rows(codes, flags, codes)
        assert usual[0].tolist() == [1, 2] and usual[1].tolist() == [3, 4, 5]
        many = usual_rows(np.zeros(5000, int), np.zeros(5000, bool), np.array([0]))[0]
        assert len(many) == 1000 and many[0] == 0 and many[-1] == 4999

    @pytest.mark.parametrize(
        "X",
        [
            ["red fox", "red fix", "blue bird", "blue birds"] * 10,
            pd.DataFrame({"a": [1, 1, 9, 9] * 10, "b": ["p", "p", "q", "q"] * 10}),
            np.array([0, 0, 1, 1] * 10, dtype=float)[:, None, None]
            * np.ones((40, 64, 64)),
            [np.full((4 + i % 2, 4), i % 4 // 2) for i in range(40)],
        ],
        ids=["texts", "frame", "images", "images of two sizes"],
    )
    def test_what_is_alike_is_near(self, X):
        usual = {0: np.arange(4, 40)}
        near = nearest_rows(X, np.array([0, 2]), np.zeros(2, int), usual, 5)
        assert {row % 4 // 2 for row in near[0]} == {0}
        assert {row % 4 // 2 for row in near[1]} == {1}

    def test_a_frame_without_information_has_any_neighbours(self):
        frame = pd.DataFrame({"a": [1] * 10})
        usual = {0: np.arange(10)}
        assert (
            len(nearest_rows(frame, np.array([3]), np.zeros(1, int), usual, 2)[0]) == 2
        )
        assert nearest_rows(None, np.array([3]), np.zeros(1, int), usual, 2) == [[]]
