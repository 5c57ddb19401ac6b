"""Where the documentation is, for the link in the diagram of an estimator."""

__all__ = ["DOC_LINK_MODULE", "DOC_LINK_TEMPLATE"]

# scikit-learn shows the link only for classes of this package, not for those that
# derive from them elsewhere.
DOC_LINK_MODULE = "sknoisy"
# Sphinx writes a page for each name of docs/api.rst; this is where they are published.
DOC_LINK_TEMPLATE = (
    "https://sknoisy.readthedocs.io/en/stable/generated/sknoisy.{estimator_name}.html"
)
