"""Address of the documentation, for the link in the HTML diagram of an estimator."""

__all__ = ["DOC_LINK_MODULE", "DOC_LINK_TEMPLATE"]

# scikit-learn shows the link only for classes of this package, not for those that
# derive from them elsewhere.
DOC_LINK_MODULE = "sknoisy"
# Address of the pages that Sphinx writes for the names in docs/api.rst.
DOC_LINK_TEMPLATE = (
    "https://sknoisy.readthedocs.io/en/stable/generated/sknoisy.{estimator_name}.html"
)
