"""Net parameters among which a detector chooses."""

__all__ = ["AUTO", "OWN_MODULE", "PAPER"]

# Table 5 of the paper's supplement, for CLIP features.
PAPER = {
    "lr": 0.1,
    "max_epochs": 30,
    "module__dropout": 0.0,
    "module__hidden": (512, 512),
    "optimizer__weight_decay": 5e-4,
}

# What a network of the user's own takes from it.
OWN_MODULE = {key: PAPER[key] for key in PAPER if not key.startswith("module__")}

# From little to much capacity. On noisy human labels of plain features the second
# wins; on small texts the first; on tables the third or the last.
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
        "module__hidden": 512,
        "optimizer__weight_decay": 2e-2,
    },
    {
        "lr": 0.05,
        "max_epochs": 20,
        "module__dropout": 0.3,
        "module__hidden": 512,
        "optimizer__weight_decay": 2e-3,
    },
    PAPER,
)
