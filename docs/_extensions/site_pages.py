"""What single pages of the site need: the page 404, and names in docstrings."""

import re
from pathlib import Path
from urllib.parse import urlsplit


def from_any_folder(app, exception):
    """Let the links of the page 404, shown at any address, begin at the root."""
    root = urlsplit(app.config.html_baseurl).path
    page = Path(app.outdir, "404.html")
    if exception is None and root and page.exists():
        text = page.read_text(encoding="utf-8")
        relative = r'\b(href|src)="(?![a-z]+:|[#/])'
        page.write_text(re.sub(relative, rf'\1="{root}', text), encoding="utf-8")


def quote_fitted_names(app, what, name, obj, options, lines):
    """Keep docutils from reading the trailing underscore of a name as a link."""
    lines[:] = [
        line.replace("(n_features_in_,)", "(``n_features_in_``,)") for line in lines
    ]


def setup(app):
    """Connect both to the events of Sphinx."""
    app.connect("build-finished", from_any_folder)
    # Before numpydoc, which listens at 500.
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
