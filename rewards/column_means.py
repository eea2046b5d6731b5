"""From the columns of a step's rows to its curves: means over the rows that a part was asked for.

    means([{"rm_score": 1.0, "rm_asked": 1.0}, {"rm_score": 0.4, "rm_asked": 0.0}])
    # {"rm_score": 1.0, "rm_asked": 0.5}

A mix does not ask every part for every row (weights by data_source, gates). What stands in there
keeps the keys alike and would flatten the curve.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

ASKED = "_asked"  # behind the stem of a part: 1.0 where it was
ALWAYS = (ASKED, "_weight")  # these columns speak of all rows


def _left_out(row: Mapping[str, float]) -> set[str]:
    """Columns of the parts that were not asked; of two stems the longer one owns a column."""
    stems = {key.removesuffix(ASKED): row[key] for key in row if key.endswith(ASKED)}
    found = set()
    for key in row:
        owners = [stem for stem in stems if key.startswith(f"{stem}_")]
        if owners and not stems[max(owners, key=len)] and not key.endswith(ALWAYS):
            found.add(key)
    return found


def means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """By column; those of a part that no row asked for are left out."""
    columns: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        skipped = _left_out(row)
        for key, value in row.items():
            if key not in skipped:
                columns[key].append(float(value))
    return {key: sum(values) / len(values) for key, values in columns.items()}
