"""Pictures of a whole table, and of points in the plane."""

import numpy as np

__all__ = ["bars", "points"]


def bars(ax, records, measure="F1"):
    """Draw a group of bars for each column, one for each row; a seed's mean."""
    from matplotlib import colormaps

    rows = list(dict.fromkeys(r["row"] for r in records))
    columns = list(dict.fromkeys(r["column"] for r in records))
    width = 0.8 / len(rows)
    if len(rows) > 10:
        # The usual colours would come twice.
        ax.set_prop_cycle(color=colormaps["tab20"].colors)
    for number, row in enumerate(rows):
        heights = [
            np.mean(
                [
                    r["values"][measure]
                    for r in records
                    if (r["row"], r["column"]) == (row, column)
                ]
                or [np.nan]
            )
            for column in columns
        ]
        at = np.arange(len(columns)) + (number - (len(rows) - 1) / 2) * width
        ax.bar(at, heights, width, label=row)
    ax.set_xticks(range(len(columns)), columns, rotation=15, ha="right", fontsize=8)
    ax.set_ylabel(measure)
    ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def points(ax, record):
    """Draw points in the colours of their classes."""
    drawn = record["drawn"]
    for name in sorted(set(drawn["class"])):
        of_class = np.array(drawn["class"]) == name
        x, y = np.array(drawn["x"])[of_class], np.array(drawn["y"])[of_class]
        ax.scatter(x, y, s=4, label=name)
    ax.set(xticks=[], yticks=[])
    ax.legend(fontsize=6, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
