"""Each example of the gallery is a short story with a picture, and leads on."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
# Of these each reader looks for one.
TASKS = {
    "plot_audit_texts": "texts",
    "plot_image_folder": "a folder of images",
    "plot_audit_frame": "a table with categories",
    "plot_planted_benchmark": "a benchmark by planted noise",
    "plot_review_loop": "a review with decisions",
    "plot_robust_or_tuned": "a robust classifier beside tuned ones",
}


def test_every_task_has_one():
    assert TASKS.keys() <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
class TestAnExample:
    def test_is_a_short_story(self, path):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 120
        # A title and what it is about, then at least two steps in words.
        assert re.match(r'"""\n(=+)\n.+\n\1\n\n\S', text)
        assert text.count("\n# %%\n") >= 3

    def test_draws_something(self, path):
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        draws = ("plt.subplots", "Display.from_", "Display(")
        assert any(name in f"{call}(" for call in called for name in draws)

    def test_downloads_nothing(self, path):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"fetch_|https?://|download=True", text)

    def test_ends_with_where_next(self, path):
        text = path.read_text(encoding="utf-8")
        last = text.rsplit("# Where next\n# ----------\n", 1)
        assert len(last) == 2 and all(line[0] == "#" for line in last[1].splitlines())
        targets = re.findall(r":doc:`([^`]+)`", last[1])
        assert len(targets) >= 2
        for target in targets:
            where = f"docs{target}.rst" if target[0] == "/" else f"examples/{target}.py"
            assert (ROOT / where).exists(), where
            assert target != path.stem
