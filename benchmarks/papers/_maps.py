"""Figures of document 003: activation maps, and images that a decoder restores.

The document shows pictures. What is measured here, to have figures beside them, is
ours: the share of the activation in the middle half of an image, a quarter of its area;
how far a map follows an image that is moved; how much of the pixels is restored.
"""

import numpy as np
import torch
from torch.nn import functional as F

from sknoisy import datasets
from sknoisy.losses import activation_map

# Measured on so many images, of which so many are drawn in a line.
_N_IMAGES, _N_DRAWN = 200, 5


def networks_of(clf):
    """Return the networks of a classifier, in evaluation mode."""
    module = clf.module_.eval()
    return list(getattr(module, "peers", [module]))


def batch_of(clf, images):
    """Return bytes as the classifier takes them."""
    return torch.from_numpy(images).to(clf.device_).float() / 255


@torch.no_grad()
def maps_of(clf, images):
    """Return activation maps of the size of the images, mean of all networks."""
    X = batch_of(clf, images)
    found = [activation_map(n.feature_map(X), X.shape[2:]) for n in networks_of(clf)]
    return torch.stack(found).mean(0).cpu().numpy()


def middle_share(maps):
    """Return the share of the activation above its lowest in the middle half, in %."""
    maps = maps - maps.min((1, 2), keepdims=True)
    _, height, width = maps.shape
    middle = maps[:, height // 4 : -(height // 4), width // 4 : -(width // 4)]
    return 100 * (middle.sum((1, 2)) / np.maximum(maps.sum((1, 2)), 1e-12)).mean()


def lines_of(clf, *groups):
    """Return what `draw_maps` draws: a line of images with maps for each group."""
    images = np.concatenate([group[:_N_DRAWN] for group in groups])
    return {
        "images": images.transpose(0, 2, 3, 1).tolist(),
        "maps": maps_of(clf, images).round(3).tolist(),
    }


def by_label(cell):
    """Compare maps of training images with right and with wrong labels."""
    clf, _ = cell.fit(cell.row.make)
    X = cell.data[0]
    right, wrong = (X[rows][:_N_IMAGES] for rows in (~cell.is_wrong, cell.is_wrong))
    shares = {
        "right": middle_share(maps_of(clf, right)),
        "wrong": middle_share(maps_of(clf, wrong)),
    }
    return shares, lines_of(clf, right, wrong)


def by_prediction(cell):
    """Compare maps of test images that are predicted right and wrong."""
    given = clean_rows(cell) if cell.row.options["labels"] == "clean" else None
    clf, _ = cell.fit(cell.row.make, given=given)
    images, y = (part[: 5 * _N_IMAGES] for part in cell.data[3:])
    is_right = clf.predict(images) == y
    right, wrong = (images[rows][:_N_IMAGES] for rows in (is_right, ~is_right))
    shares = {
        "right": middle_share(maps_of(clf, right)),
        "wrong": middle_share(maps_of(clf, wrong)),
    }
    return shares, lines_of(clf, right, wrong)


def clean_rows(cell):
    """Return images and right labels: the training rows, or clean ones of the set."""
    if cell.args.scale == "full":
        clean = datasets.load_clothing1m(cell.args.images, "clean_train")
        return clean.images, clean.labels
    return cell.data[0], cell.data[1]


def moved_maps(cell):
    """Measure how far maps follow images that are moved by a quarter to the right."""
    clf, _ = cell.fit(cell.row.make)
    images = cell.data[3][:_N_IMAGES]
    step = images.shape[3] // 4
    # The mirrored border fills the gap.
    moved = np.pad(images, [(0, 0)] * 3 + [(step, 0)], mode="reflect")
    moved = np.ascontiguousarray(moved[..., : images.shape[3]])
    way = columns_of_centres(maps_of(clf, moved)) - columns_of_centres(
        maps_of(clf, images)
    )
    return {"follows": 100 * way.mean() / step}, lines_of(clf, images, moved)


def columns_of_centres(maps):
    """Return the mean column of the activation of each map."""
    weight = maps.sum(1)
    columns = np.arange(maps.shape[2])
    return (weight * columns).sum(1) / np.maximum(weight.sum(1), 1e-12)


@torch.no_grad()
def restored(cell):
    """Measure how much of masked test images their decoder restores, as R² in %."""
    clf, _ = cell.fit(cell.row.make)
    images = cell.data[3][:_N_IMAGES]
    network, masking, X = networks_of(clf)[0], clf.masking_, batch_of(clf, images)
    target = F.one_hot(torch.zeros(len(X), dtype=torch.int64), 10).float().to(X.device)
    torch.manual_seed(cell.seed)
    views, _ = masking.views(
        X, target, torch.ones(len(X), device=X.device), network.feature_map(X)
    )
    made = [masking.restore(0, network, view) for view in views]
    errors = torch.stack([(one - X).square() for one in made])
    spread = (X - X.mean((0, 2, 3), keepdim=True)).square().expand_as(errors)
    hidden = torch.stack([view != X for view in views])
    lines = [X, views[0], made[0].clamp(0, 1)]
    drawn = torch.cat([line[:_N_DRAWN] for line in lines]).permute(0, 2, 3, 1)
    return {
        "pixels": 100 * (1 - errors.sum() / spread.sum()),
        "hidden": 100 * (1 - errors[hidden].sum() / spread[hidden].sum()),
    }, {"images": (255 * drawn).round().int().tolist()}


def mosaic(tiles, gap):
    """Return tiles of (height, width, ...) in lines, with a gap between them."""
    edges = [(0, 0), (0, 1), (0, 1)] + [(0, 0)] * (tiles.ndim - 3)
    tiles = np.pad(tiles, edges, constant_values=gap)
    lines = tiles.reshape(-1, _N_DRAWN, *tiles.shape[1:])
    return np.concatenate([np.concatenate(line, 1) for line in lines])[:-1, :-1]


def draw_images(ax, record, lines):
    """Draw lines of images, each with its name."""
    images = np.array(record["drawn"]["images"], np.uint8)
    ax.imshow(mosaic(images, gap=255), interpolation="nearest")
    height = images.shape[1] + 1
    centres = [height * (line + 0.5) - 1 for line in range(len(lines))]
    ax.set_yticks(centres, lines, rotation=90, va="center", fontsize=8)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def draw_maps(ax, record, lines):
    """Draw lines of images under their maps."""
    draw_images(ax, record, lines)
    maps = np.array(record["drawn"]["maps"])
    ax.imshow(mosaic(maps, gap=np.nan), cmap="jet", alpha=0.4, vmin=0, vmax=1)
