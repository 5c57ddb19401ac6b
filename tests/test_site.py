"""What the extensions of the documentation do to its pages."""

import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="sphinx comes with the extra docs")
ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs/_extensions"))

import chooser  # noqa: E402
import paper_links  # noqa: E402
import source_links  # noqa: E402


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("JAIR 2021. arXiv:1911.00068", ["https://arxiv.org/abs/1911.00068"]),
        ("arXiv: 2111.11288, 2021", ["https://arxiv.org/abs/2111.11288"]),
        ("arXiv:cs/0612077.", ["https://arxiv.org/abs/cs/0612077"]),
        ("(doi:10.1000/a.b_c).", ["https://doi.org/10.1000/a.b_c"]),
        (
            "arXiv:1609.03683 and doi:10.1/x, doi:10.1613/jair.1.12125",
            [
                "https://arxiv.org/abs/1609.03683",
                "https://doi.org/10.1613/jair.1.12125",
            ],
        ),
        ("CVPR 2017, pages 1944-1952", []),
    ],
)
def test_numbers_of_papers_become_links_and_the_text_stays(text, addresses):
    parts = paper_links.linked(text)
    assert "".join(part.astext() for part in parts) == text
    links = [part["refuri"] for part in parts if hasattr(part, "attributes")]
    assert links == addresses


GROUPS = [
    ("Which?", [("a table", "auto.html", "Auto"), ("a & b", "x.html#y", "Other")]),
    ("How?", [("a case whose words need more than one line of it", "z.html", "Z")]),
]


@pytest.mark.parametrize("draw", [chooser.wide, chooser.narrow])
def test_a_chooser_has_all_its_words_and_links(draw):
    drawn = draw(GROUPS)
    assert re.findall(r'href="([^"]*)"', drawn) == ["auto.html", "x.html#y", "z.html"]
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", drawn))
    for question, cases in GROUPS:
        for text in (question, *(t for case, _, end in cases for t in (case, end))):
            assert text.replace("&", "&amp;") in said
    height = int(re.search(r'viewBox="0 0 \d+ (\d+)"', drawn)[1])
    bottoms = re.findall(r'<rect [^>]*y="([\d.]+)"[^>]* height="(\d+)"', drawn)
    assert max(float(y) + float(high) for y, high in bottoms) <= height


def test_lines_of_a_chooser_fit():
    lines = chooser.lines_of("words that go on and on until they need a break", 150)
    assert len(lines) > 1 and max(map(len, lines)) * chooser.LETTER <= 150
    assert " ".join(lines) == "words that go on and on until they need a break"


def test_source_links_lead_to_the_lines_of_a_function():
    info = {"module": "sknoisy", "fullname": "find_label_issues"}
    link = source_links.resolve("py", info, "https://example.org/r", "v1")
    pattern = r"https://example.org/r/blob/v1/(.*)#L(\d+)-L\d+"
    path, first = re.fullmatch(pattern, link).groups()
    line = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(first) - 1]
    assert line.strip().startswith("def find_label_issues(")
    info["fullname"] = "find_label_issues.nothing"
    assert source_links.resolve("py", info, "https://example.org/r", "v1") is None


def test_the_list_of_versions_has_what_the_switch_needs():
    versions = json.loads((ROOT / "docs/_static/versions.json").read_text())
    assert all(version.keys() >= {"name", "version", "url"} for version in versions)
    assert sum(version.get("preferred", False) for version in versions) == 1
