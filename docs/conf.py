"""Configuration of Sphinx.

These variables of the environment change what is built:

``SKNOISY_DOCS_URL``
   Address under which the pages will be found, such as
   ``https://sknoisy.readthedocs.io/en/stable/``; Read the Docs sets
   ``READTHEDOCS_CANONICAL_URL``. With one of them there is a list of versions.
``SKNOISY_DOCS_ONLINE``
   If set, names of other packages link to their documentation, whose lists of names are
   fetched. Without it only lists in ``docs/_inventories`` are used, such as
   ``sklearn.inv``, and nothing is fetched.
"""

import os
import sys
import tomllib
from pathlib import Path

# The examples must run without a display.
os.environ.setdefault("MPLBACKEND", "agg")

HERE = Path(__file__).parent
sys.path.append(str(HERE / "_extensions"))

import sknoisy  # noqa: E402

metadata = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
# "Source" under [project.urls] in pyproject.toml is the only place for this address.
repository = metadata.get("urls", {}).get("Source", "").rstrip("/")

project = "sknoisy"
author = "the sknoisy developers"
copyright = author
release = version = sknoisy.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "accessible",
    "chooser",
    "paper_links",
    "short_cells",
    "short_names",
    "site_pages",
    # With a repository "source" leads to it, else to a page with the code.
    "source_links" if repository else "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"
# Methods that come from scikit-learn name terms of its glossary.
suppress_warnings = ["ref.term"]
# A name that leads nowhere is a mistake, unless it belongs to another package (its list
# of names may not be there), or stands in a docstring that we inherit.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|skorch|torch|numpy|pandas|joblib|tempfile)(\..*)?"),
    ("py:obj", r"X|y|fit_params|refit=True|set_(partial_)?fit_request"),
    ("py:obj", r"(LogisticRegression|StandardScaler)"),
]

# Docstrings describe the types in words, with shapes and ranges.
autodoc_typehints = "none"
autosummary_generate = True
autosummary_ignore_module_all = False
toc_object_entries_show_parents = "hide"
# The templates list the members, those of the mixins included.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sknoisy",),
    "reference_url": {"sknoisy": None},
    "abort_on_example_error": True,
    "capture_repr": (),
    "show_memory": False,
    "download_all_examples": False,
    # Of examples without a figure.
    "default_thumb_file": str(HERE / "_static/found.svg"),
}

OTHER_PACKAGES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "sklearn": "https://scikit-learn.org/stable/",
    "skorch": "https://skorch.readthedocs.io/en/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "imblearn": "https://imbalanced-learn.org/stable/",
}
online = bool(os.environ.get("SKNOISY_DOCS_ONLINE"))
intersphinx_mapping = {
    name: (url, None if online else str(inventory))
    for name, url in OTHER_PACKAGES.items()
    if (inventory := HERE / "_inventories" / f"{name}.inv").exists() or online
}

# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

html_baseurl = os.environ.get("SKNOISY_DOCS_URL") or os.environ.get(
    "READTHEDOCS_CANONICAL_URL", ""
)
html_theme = "pydata_sphinx_theme"
html_title = "sknoisy"
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["sknoisy.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "404": [], "search": [], "genindex": []}
html_theme_options = {
    "logo": {"text": "sknoisy", "alt_text": ""},
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "secondary_sidebar_items": {
        "index": [],
        "404": [],
        "**": ["page-toc", "edit-this-page"],
    },
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "search_bar_text": "Search",
}
if html_baseurl:
    html_theme_options["switcher"] = {
        "json_url": "https://sknoisy.readthedocs.io/en/latest/_static/versions.json",
        "version_match": os.environ.get("READTHEDOCS_VERSION", "latest"),
    }
    html_theme_options["check_switcher"] = False
    html_theme_options["navbar_end"].insert(0, "version-switcher")
if repository:
    html_theme_options["icon_links"] = [
        {"name": "Source", "url": repository, "icon": "fa-brands fa-git-alt"}
    ]
