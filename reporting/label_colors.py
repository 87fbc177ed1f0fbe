"""The colours of labels, in pictures and overlays."""

# of labels 1, 2, ...: Okabe and Ito, which the colour-blind can tell, ordered so that lightness alternates
LABEL_COLORS = ("#E69F00", "#0072B2", "#F0E442", "#D55E00", "#56B4E9", "#009E73", "#CC79A7")


def label_color(label: int) -> str:
    """Returns the colour of a label, 1 or more, as `#RRGGBB`."""
    return LABEL_COLORS[(label - 1) % len(LABEL_COLORS)]
