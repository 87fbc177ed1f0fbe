"""What is printed when masks have been predicted: how many images have a finding, and where everything is."""

from __future__ import annotations

import sys
from collections import Counter

from dataset.message_text import escaped, shortened
from reporting.prediction_folder import LEFT_OUT, MASKS, OVERLAYS, TABLE, Predictions

_SHOWN = 5  # images that were left out; all are in a file


def print_outcome(predictions: Predictions, classes: int) -> None:
    """Prints how many images have a finding, of each label where there are several, and the places of the results.

    Args:
        predictions: The folder of results.
        classes: 1, or how many labels the network knows, background included.
    """
    columns = {"a finding": "area_px"} | {f"label {label}": f"area_px_{label}" for label in range(1, classes)}
    images, found = 0, Counter[str]()
    for row in predictions.rows():
        images += 1
        found.update(title for title, column in columns.items() if int(row[column]))
    lines = {"images": f"{images:,}"}
    lines |= {f"with {title}": f"{found[title]:,} ({found[title] / images:.0%})" for title in columns}
    places = {"masks": MASKS, "overlays": OVERLAYS, "table": TABLE}
    lines |= {name: str(predictions.folder.absolute() / place) for name, place in places.items()}
    for name, value in lines.items():  # whole paths, however narrow the terminal is
        print(f"{name:<{max(map(len, lines))}}  {value}")
    left_out = predictions.left_out()
    if left_out:
        print(f"note: left out, as they cannot be used ({len(left_out)}; all in {LEFT_OUT}):", file=sys.stderr)
        for name, reason in left_out[:_SHOWN]:
            print(f"  {shortened(escaped(name))}: {reason}", file=sys.stderr)
