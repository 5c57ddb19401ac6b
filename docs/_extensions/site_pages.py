"""What single pages of the site need: the page 404, and names in docstrings."""

from urllib.parse import urlsplit


def from_any_folder(app, pagename, templatename, context, doctree):
    """Let the links of the page 404, shown at any address, begin at the root."""
    root = urlsplit(app.config.html_baseurl).path
    if pagename != "404" or not root:
        return
    relative = context["pathto"]

    def pathto(target, resource=False, **options):
        address = relative(target, resource, **options)
        return address if address.startswith(("#", "http")) else root + address

    context["pathto"] = pathto


def quote_fitted_names(app, what, name, obj, options, lines):
    """Keep docutils from reading the trailing underscore of a name as a link."""
    lines[:] = [
        line.replace("(n_features_in_,)", "(``n_features_in_``,)") for line in lines
    ]


def setup(app):
    """Connect both to the events of Sphinx."""
    app.connect("html-page-context", from_any_folder)
    # Before numpydoc, which listens at 500.
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
