"""Net parameters among which a detector chooses, by the kind of rows."""

__all__ = ["AUTO", "IMAGES", "OWN_MODULE", "default_settings"]

# From low to high capacity. On noisy human labels of plain features the second wins;
# on small texts the first; on tables the third or the last. The last is the paper's
# with half the units, which finds as much in half the time.
AUTO = (
    {
        "lr": 0.02,
        "max_epochs": 20,
        "module__dropout": 0.0,
        "module__hidden": (),
        "optimizer__weight_decay": 2e-3,
    },
    {
        "lr": 0.02,
        "max_epochs": 10,
        "module__dropout": 0.5,
        "module__hidden": 256,
        "optimizer__weight_decay": 2e-2,
    },
    {
        "lr": 0.05,
        "max_epochs": 20,
        "module__dropout": 0.3,
        "module__hidden": 256,
        "optimizer__weight_decay": 2e-3,
    },
    {
        "lr": 0.1,
        "max_epochs": 30,
        "module__dropout": 0.0,
        "module__hidden": (256, 256),
        "optimizer__weight_decay": 5e-4,
    },
)

# For a network of the user.
OWN_MODULE = {key: AUTO[-1][key] for key in AUTO[-1] if not key.startswith("module__")}

# The default network for images has neither dropout nor hidden layers to set. Strongly
# and mildly regularised: only two, since residual networks train slowly.
IMAGES = (
    {"lr": 0.02, "max_epochs": 10, "optimizer__weight_decay": 2e-2},
    {"lr": 0.05, "max_epochs": 20, "optimizer__weight_decay": 2e-3},
)


def default_settings(n_dims):
    """Return the settings that compete, of the default network.

    Parameters
    ----------
    n_dims : int
        Dimensions of X: 4 for images.

    Returns
    -------
    settings : tuple of dict
        Simplest first; parameters of the net that is trained on such rows.

    Examples
    --------
    >>> from sknoisy._planting._settings import default_settings
    >>> [setting["max_epochs"] for setting in default_settings(4)]
    [10, 20]
    """
    return IMAGES if n_dims == 4 else AUTO
