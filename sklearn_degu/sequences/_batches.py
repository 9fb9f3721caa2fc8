"""Working through many sequences some at a time."""

from collections.abc import Iterator

# Few enough that temporaries stay small and in the CPU's cache.
BATCH_ROWS = 512


def row_batches(n_rows: int) -> Iterator[slice]:
    """Yield consecutive slices that cover all rows, and none if there are no rows."""
    for start in range(0, n_rows, BATCH_ROWS):
        yield slice(start, min(start + BATCH_ROWS, n_rows))
