"""Figures as the benchmarks print them: medians, percentiles and small tables."""

import statistics
from collections.abc import Sequence

Row = Sequence[str]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Return the median, and how far the others are from it."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def latencies(seconds: Sequence[float]) -> Row:
    """Return the cells "how many, median, p99, most"."""
    figures = (statistics.median(seconds), percentile(seconds, 99), max(seconds))
    return [str(len(seconds)), *(f"{figure * 1000:.2f} ms" for figure in figures)]


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return rows of cells below a head, in columns."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    )
