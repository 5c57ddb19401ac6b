"""Configuration of Sphinx."""

import os

# The examples must run without a display.
os.environ.setdefault("MPLBACKEND", "agg")

import sknoisy

project = "sknoisy"
author = "the sknoisy developers"
copyright = author
release = version = sknoisy.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"
# Methods that come from scikit-learn name terms of its glossary.
suppress_warnings = ["ref.term"]

# Docstrings describe the types in words, with shapes and ranges.
autodoc_typehints = "none"
autosummary_generate = True
autosummary_ignore_module_all = False
# The templates list the members, those of the mixins included.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "capture_repr": (),
    "show_memory": False,
    "download_all_examples": False,
}

html_theme = "alabaster"
html_theme_options = {
    "description": "Estimators for label noise",
    "fixed_sidebar": True,
    "page_width": "64rem",
}
html_show_sourcelink = False


def quote_fitted_names(app, what, name, obj, options, lines):
    """Keep docutils from reading the trailing underscore of a name as a link."""
    lines[:] = [
        line.replace("(n_features_in_,)", "(``n_features_in_``,)") for line in lines
    ]


def setup(app):
    # Before numpydoc, which listens at 500.
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)
