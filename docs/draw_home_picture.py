"""Draw the picture of the home page: digits that a detector finds mislabelled.

    python docs/draw_home_picture.py

A fifth of the labels of scikit-learn's digits is replaced; shown are the ten most
suspicious ones, with the given label and the one that the detector suggests.
"""

from pathlib import Path

from sklearn.datasets import load_digits

from sknoisy import DynaCorDetector, SymmetricNoiseInjector

CELL, WIDTH, HEIGHT, GAP, COLUMNS = 9, 104, 132, 12, 5
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def pixels(image, left, top):
    """Return the squares of an image, the darker the larger its values."""
    for row, values in enumerate(image):
        for column, value in enumerate(values):
            if value:
                x, y = left + column * CELL, top + row * CELL
                yield (
                    f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" '
                    f'fill-opacity="{value / 16:.2f}"/>'
                )


def card(image, given, suggested, left, top):
    """Return one digit with both labels."""
    middle = left + WIDTH / 2
    margin = (WIDTH - 8 * CELL) / 2
    return [
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="10" '
        'fill="#f4f7fa" stroke="#c3ced8"/>',
        '<g fill="#14212e">',
        *pixels(image, left + margin, top + 12),
        "</g>",
        f'<text x="{middle}" y="{top + HEIGHT - 17}" text-anchor="middle">'
        f'<tspan fill="#a84a00" text-decoration="line-through">{given}</tspan>'
        '<tspan fill="#5a6876" dx="8">→</tspan>'
        f'<tspan fill="#1b659f" font-weight="700" dx="8">{suggested}</tspan></text>',
    ]


def picture():
    """Return the text of the SVG file."""
    digits = load_digits()
    injector = SymmetricNoiseInjector(0.2, random_state=0)
    X, y = injector.fit_resample(digits.data / 16, digits.target)
    detector = DynaCorDetector(random_state=0).fit(X, y)
    parts = []
    for place, row in enumerate(detector.ranking()[: 2 * COLUMNS]):
        left = place % COLUMNS * (WIDTH + GAP) + 1
        top = place // COLUMNS * (HEIGHT + GAP) + 1
        suggested = detector.suggested_labels_[row]
        parts += card(digits.images[row], y[row], suggested, left, top)
    width = COLUMNS * (WIDTH + GAP) - GAP + 2
    height = 2 * (HEIGHT + GAP) - GAP + 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="{FONT}" font-size="19">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


if __name__ == "__main__":
    path = Path(__file__).parent / "_static/found.svg"
    path.write_text(picture(), encoding="utf-8")
