import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import Browser
from known_detector import KnownDetector

from sknoisy import label_report

pytestmark = pytest.mark.slow

N = 130
NAMES = np.array(["=ant", 'b"ee, or\nwasp', "<script>cat"])
FOCUS = "document.activeElement.closest('.row')?.dataset.row"


@pytest.fixture
def browser(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    opened = Browser(tmp_path / "profile", downloads)
    yield opened
    opened.close()


def report_of(n_flagged=70):
    rng = np.random.default_rng(0)
    scores = np.concatenate(
        [np.linspace(1, 0.51, n_flagged), rng.random(N - n_flagged) / 2]
    )
    X = pd.DataFrame({"size": rng.normal(size=N), "colour": ["red", "blue"] * (N // 2)})
    return label_report(KnownDetector(scores), X, NAMES[np.arange(N) % 3])


@pytest.fixture
def page(tmp_path):
    report = report_of()
    return report, report.review(tmp_path / "review.html", n_random=20)


def decided(browser):
    """Return the decisions that the browser keeps."""
    return dict(json.loads(browser.run("localStorage.getItem(localStorage.key(0))")))


def test_only_the_script_of_the_page_runs(browser, page, tmp_path):
    _, path = page
    text = path.read_text()
    attacks = (
        "<script>document.title = 'broken in'</script>"
        "<img src='data:,' onerror=\"document.title = 'broken in'\">"
        "<a id='bait' href=\"javascript:document.title = 'broken in'\">x</a>"
    )
    attacked = tmp_path / "attacked.html"
    attacked.write_text(text.replace("<h1>", attacks + "<h1>"))
    browser.open(attacked)
    browser.run("document.getElementById('bait').click()")
    assert browser.run("document.title") == "Label review"
    # Its own script runs there, and without the policy the others would, too.
    assert browser.run("document.getElementById('work').hidden") is False
    open_ = re.sub(r"<meta http-equiv[^>]*>", "", attacked.read_text())
    attacked.write_text(open_)
    browser.open(attacked)
    assert browser.run("document.title") == "broken in"
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace('"use strict";', '"use strict"; '))
    browser.open(changed)
    assert browser.run("document.getElementById('work').hidden") is True


def test_a_whole_review_by_keyboard(browser, page, tmp_path):
    report, path = page
    browser.open(path)
    order = browser.run(
        "[...document.querySelectorAll('.row:not([hidden])')].map((r) => r.dataset.row)"
    )
    browser.press("n", "a", "k", "x", "u")
    assert browser.run(FOCUS) == order[4]
    # Another label: the choice gets the focus, and keys in it decide nothing.
    browser.press("o")
    assert browser.run("document.activeElement.tagName") == "SELECT"
    labels = browser.run("[...document.activeElement.options].map((o) => o.value)")
    other = labels[2]
    browser.run(
        f"document.activeElement.value = {json.dumps(other)};"
        "document.activeElement.dispatchEvent(new Event('change'))"
    )
    browser.press("Enter")
    assert browser.run(FOCUS) == order[5]
    browser.press("a", "z")
    assert browser.run(FOCUS) == order[5]
    browser.press("p", "p", "c", "u")
    suggested = report.frame["suggested_label"].tolist()
    expected = {
        order[0]: ["relabel", suggested[int(order[0])]],
        order[1]: ["keep", ""],
        order[2]: ["exclude", ""],
        order[3]: ["unsure", ""],
        order[4]: ["relabel", other],
    }
    assert decided(browser) == expected
    progress = browser.run("document.getElementById('progress').textContent")
    assert progress.startswith("5 of ")
    assert "1 keep, 2 relabel, 1 exclude, 1 unsure" in progress
    assert "of the last 4 ranks, 3 were wrong" in progress
    # What is downloaded is read, fits the rows and changes the labels.
    browser.download("csv")
    browser.download("json")
    files = sorted((tmp_path / "downloads").iterdir())
    assert [file.name for file in files] == ["decisions.csv", "decisions.json"]
    fixed = [report.apply(decisions=file) for file in files]
    pd.testing.assert_frame_equal(*fixed)
    labels = report.frame["given_label"].copy()
    labels[int(order[0])] = suggested[int(order[0])]
    labels[int(order[4])] = other
    assert fixed[0]["label"].tolist() == labels.drop(int(order[2])).tolist()


def test_decisions_outlive_the_browser_and_belong_to_one_audit(page, tmp_path):
    _, path = page
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    first = Browser(tmp_path / "profile", downloads)
    first.open(path)
    first.press("n", "k", "u")
    expected = decided(first)
    first.close()
    second = Browser(tmp_path / "profile", downloads)
    try:
        second.open(path)
        assert decided(second) == expected and len(expected) == 2
        text = second.run("document.getElementById('progress').textContent")
        assert text.startswith("2 of ")
        assert second.run("document.querySelectorAll('.decided .state').length") == 2
        # Chromium has one storage for all files; another audit has its own key.
        other = report_of(60).review(tmp_path / "other.html", n_random=5)
        second.open(other)
        text = second.run("document.getElementById('progress').textContent")
        assert text.startswith("0 of ")
    finally:
        second.close()


def test_a_file_of_decisions_can_be_loaded(browser, page, tmp_path):
    _, path = page
    browser.open(path)
    browser.press("n", "a", "k", "x")
    expected = decided(browser)
    for button in ("csv", "json"):
        browser.download(button)
    for name in ("decisions.csv", "decisions.json"):
        browser.run("localStorage.clear()")
        browser.open(path)
        document = browser.call("DOM.getDocument")["root"]["nodeId"]
        node = browser.call("DOM.querySelector", nodeId=document, selector="#load")
        browser.call(
            "DOM.setFileInputFiles",
            nodeId=node["nodeId"],
            files=[str(tmp_path / "downloads" / name)],
        )
        loaded = "document.getElementById('loaded').textContent"
        for _ in range(200):
            if browser.run(loaded):
                break
        text = f"3 of 3 decisions of {name} are about rows of this page."
        assert browser.run(loaded) == text
        assert decided(browser) == expected


def test_filters_order_and_pages(browser, page):
    _, path = page
    browser.open(path)
    n_rows = browser.run("document.querySelectorAll('.row').length")
    assert n_rows > 70
    visible = "[...document.querySelectorAll('.row:not([hidden])')].map((r) => {})"
    assert len(browser.run(visible.format("r.dataset.row"))) == 50
    browser.run("document.getElementById('after').click()")
    assert len(browser.run(visible.format("r.dataset.row"))) == n_rows - 50

    def choose(name, value):
        browser.run(
            f"document.getElementById('{name}').value = {json.dumps(value)};"
            f"document.getElementById('{name}').dispatchEvent(new Event('input'))"
        )

    choose("by-sample", "stratum")
    samples = browser.run(visible.format("r.dataset.sample"))
    assert len(samples) == 20 and all(s.startswith("stratum") for s in samples)
    choose("order", "least")
    scores = browser.run(visible.format("Number(r.dataset.score)"))
    assert scores == sorted(scores)
    choose("by-sample", "")
    choose("by-score", "0.9")
    choose("by-given", "1")
    choose("by-suggested", "2")
    found = browser.run(visible.format("[r.dataset.given, r.dataset.suggested]"))
    assert len(found) > 2 and all(pair == ["1", "2"] for pair in found)
    scores = browser.run(visible.format("Number(r.dataset.score)"))
    assert min(scores) >= 0.9 and scores == sorted(scores)
    browser.press("n", "k")
    choose("by-state", "done")
    assert len(browser.run(visible.format("r.dataset.row"))) == 1
    choose("by-given", "0")
    text = browser.run("document.getElementById('place').textContent")
    assert text == "No row fits the filters"


def test_a_keyboard_and_a_screen_reader_find_their_way(browser, page):
    _, path = page
    browser.open(path)
    names = []
    for _ in range(8):
        browser.press("Tab")
        names.append(browser.run("document.activeElement.textContent.trim()"))
    assert names[:4] == [
        "Download decisions.csv",
        "Download decisions.json",
        "Filter, sort, load",
        "Keys",
    ]
    # The browser's own tree for screen readers: each control has a name.
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = ("button", "combobox", "textbox", "spinbutton", "group", "progressbar")
    shown = [n for n in tree if not n["ignored"]]
    named = {
        role: [n["name"]["value"] for n in shown if n["role"]["value"] == role]
        for role in controls
    }
    assert len(named["button"]) > 150 and named["progressbar"] == ["Rows decided"]
    for role in controls:
        # Groups without a name are those that can be opened.
        assert all(name.strip() for name in named[role]) or role == "group"
    assert sum("Decision about row" in name for name in named["group"]) == 50
    status = [n for n in shown if n["role"]["value"] == "status"]
    assert len(status) >= 2


@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_is_wider_than_the_window(browser, page, width):
    _, path = page
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=700,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    browser.open(path)
    assert browser.run("document.documentElement.scrollWidth") <= width
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.call("Emulation.setEmulatedMedia", features=[feature])
        pair = browser.run(
            "['backgroundColor', 'color'].map((name) => "
            "getComputedStyle(document.body)[name].match(/\\d+/g).map(Number))"
        )
        background, ink = (np.mean(color[:3]) for color in pair)
        assert (background > 200 and ink < 50) == (scheme == "light")
        assert abs(background - ink) > 200


def test_the_head_of_a_row_is_not_covered(browser, page):
    _, path = page
    browser.open(path)
    for is_open in ("false", "true"):
        browser.run(
            "document.querySelectorAll('#work details').forEach("
            f"(details) => {{ details.open = {is_open}; }})"
        )
        browser.press("n", "n", "k")
        edges = browser.run(
            "[document.getElementById('work').getBoundingClientRect().bottom, "
            "document.activeElement.getBoundingClientRect().top]"
        )
        assert edges[0] <= edges[1]


def test_in_a_notebook_keys_work_and_the_notebook_stays(browser, tmp_path, monkeypatch):
    display = SimpleNamespace(HTML=lambda data: SimpleNamespace(data=data))
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    path = tmp_path / "notebook.html"
    frame = report_of().review(n_random=20).data
    path.write_text(f"<p style='height: 300px'>{frame}<p style='height: 3000px'>")
    browser.open(path)
    browser.run("document.querySelector('iframe').focus()")
    browser.press("n", "a", "k", "x")
    inner = "frames[0].document.getElementById('{}')"
    progress = browser.run(inner.format("progress") + ".textContent")
    assert "1 keep, 1 relabel, 1 exclude" in progress
    assert browser.run("scrollY") == 0 and browser.run("frames[0].scrollY") > 300
    assert len(decided(browser)) == 3
    browser.events.clear()
    browser.run(inner.format("csv") + ".click()")
    while browser.wait("Browser.downloadProgress")["state"] != "completed":
        pass
    assert (tmp_path / "downloads" / "decisions.csv").exists()


def test_a_browser_without_storage_says_so(browser, page):
    _, path = page
    browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(window, 'localStorage', "
        "{get() { throw new Error('refused'); }})",
    )
    browser.open(path)
    browser.press("n", "k")
    text = browser.run("document.getElementById('saved').textContent")
    assert text.startswith("This browser does not keep decisions")
    browser.download("csv")
