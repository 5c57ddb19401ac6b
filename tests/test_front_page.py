"""What the README shows is there, and is what the programs behind it say."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import sknoisy

ROOT = Path(__file__).parents[1]
PICTURE = "docs/images/wrong_labels.png"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def facts(path):
    """Return the rows and suggestions that a picture says it shows."""
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        said = picture.text
    rows, labels = (said[name].split() for name in ("Rows", "Suggested"))
    return dict(zip(rows, labels, strict=True))


def test_it_is_short():
    assert len(README.splitlines()) < 150


def test_its_links_into_the_repository_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    inner = [t for t in targets if not t.startswith("https://")]
    assert PICTURE in inner
    assert [t for t in inner if not (ROOT / t).exists()] == []


def test_its_classes_and_scripts_exist():
    classes = re.findall(
        r"`(\w+(?:Detector|Classifier|Injector|Encoder|Filter))`", README
    )
    assert len(set(classes)) > 8
    assert [name for name in classes if not hasattr(sknoisy, name)] == []
    scripts = re.findall(r"\b(?:benchmarks|examples)/[\w/]+\.py", README)
    assert [path for path in scripts if not (ROOT / path).exists()] == []


def test_commands_read_by_others_are_lines_of_their_own():
    lines = [line for line in README.splitlines() if line.startswith("python3 ")]
    assert [" -m pytest " in line for line in lines] == [False, True]


@pytest.mark.slow
def test_the_example_makes_the_picture(tmp_path, monkeypatch):
    """A processor of another kind may swap the last rows: 17 of 20 must be the same."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    for name in [m for m in sys.modules if m.startswith("sphinx_gallery")]:
        monkeypatch.delitem(sys.modules, name)
    runpy.run_path(str(ROOT / "examples/plot_find_wrong_labels.py"))
    made, kept = facts(tmp_path / "wrong_labels.png"), facts(ROOT / PICTURE)
    assert len(kept) == 20
    same = [row for row, label in kept.items() if made.get(row) == label]
    assert len(same) >= 17, f"{PICTURE} is not what the example shows: copy it"


def test_tables_are_what_the_records_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import page

    stale = [
        str(path.relative_to(ROOT))
        for path, text in page.pages().items()
        if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python benchmarks/page.py"


class TestATable:
    RECORDS = [
        {
            "row": row,
            "column": column,
            "wrong": 0.25,
            "n_rows": 2000,
            "values": {"auroc": 0.5, "f1": value, "seconds": 1.25},
            "command": "python x.py",
            "date": date,
            "hardware": "one CPU",
            "versions": {"numpy": "2"},
        }
        for row, column, value, date in (
            ("auto", "digits symmetric .2", 0.75, "2026-01-02"),
            ("auto", "youtube text", 0.125, "2026-01-01"),
            ("mislabeled", "youtube text", 0.0, "2026-01-01"),
        )
    ]

    @pytest.fixture
    def page(self, monkeypatch):
        monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
        import page

        return page

    def test_has_a_dash_where_there_is_no_record(self, page):
        head, rows = page.peer_rows(self.RECORDS)
        assert head == ["", "digits", "YouTube spam"]
        assert rows[2] == ["wrong labels", "25.0 %", "25.0 %"]
        assert rows[-2:] == [
            ["`AutoNoiseDetector`", "0.500 0.750 1.2", "0.500 0.125 1.2"],
            ["mislabeled, regression", "–", "0.500 0.000 1.2"],
        ]

    def test_says_command_dates_and_versions_once(self, page):
        text = page.fragment(self.RECORDS, page.peer_rows)
        assert text.count("   python x.py") == 1
        assert "Run on 2026-01-01 to 2026-01-02, on one CPU, with numpy 2." in text
        assert "   * - ``AutoNoiseDetector``\n     - 0.500 0.750 1.2\n" in text

    def test_of_classifiers_is_sorted_by_the_mean(self, page):
        records = [
            {"row": r, "column": c, "values": {"last": last, "seconds": 2.0}}
            for r, c, last in (("a", "x", 0.5), ("b", "x", 0.7), ("b", "y", 0.8))
        ] + [{"row": "a", "column": "y", "values": {"last": 0.9, "seconds": 3.0}}]
        assert page.robust_rows(records) == (
            ["", "x", "y", "mean", "CPU s"],
            [
                ["b", "0.700", "0.800", "0.750", "2.0"],
                ["a", "0.500", "0.900", "0.700", "2.5"],
            ],
        )
