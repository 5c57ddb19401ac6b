"""Check built pages with axe-core in a browser, light and dark, wide and narrow.

    npm pack axe-core && tar xf axe-core-*.tgz
    python docs/check_accessibility.py docs/_build/html package/axe.min.js

Prints what was found on each page, and fails if anything of it is serious or critical.
Needs chromium; no page is fetched.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests/cleaning"))
from browser import Browser

PAGES = [
    "index",
    "api",
    "auto_examples/index",
    "auto_examples/plot_find_wrong_labels",
    "generated/sknoisy.DynaCorDetector",
    "user_guide/index",
    "user_guide/which_one",
    "user_guide/five_minutes",
    "user_guide/find_wrong_labels",
    "user_guide/glossary",
]
LOOKS = [("light", 1400), ("dark", 1400), ("light", 420), ("dark", 420)]
RUN = """axe.run(document, {resultTypes: ["violations"]}).then(found =>
    found.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html]))"""


def show(browser, page, scheme, width):
    """Open a page as it is on a screen of a width, in a colour scheme."""
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=media)
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 900,
    )
    browser.call("Page.navigate", url=page.resolve().as_uri())
    for _ in range(600):
        if browser.run("document.readyState") == "complete":
            # The colours of the theme fade in.
            time.sleep(0.4)
            return
        time.sleep(0.05)
    raise SystemExit(f"{page} did not load")


def main():
    """Check all pages, and print a line for each finding."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("html", type=Path)
    parser.add_argument("axe", type=Path)
    parser.add_argument("pages", nargs="*", default=PAGES)
    options = parser.parse_args()
    axe, failed = options.axe.read_text(encoding="utf-8"), False
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(folder, folder)
        try:
            for page in options.pages:
                for scheme, width in LOOKS:
                    show(browser, options.html / f"{page}.html", scheme, width)
                    browser.run(axe + ";0")
                    found = browser.run(RUN)
                    counts = Counter(impact for impact, *_ in found)
                    print(f"{page}, {scheme}, {width}: {dict(counts) or 'nothing'}")
                    for impact, rule, number, html in found:
                        print(
                            f"    {impact}: {rule}, {number} times, first {html[:120]}"
                        )
                    failed |= bool(counts["serious"] + counts["critical"])
        finally:
            browser.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
