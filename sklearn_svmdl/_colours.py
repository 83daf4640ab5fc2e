"""Colours that people with any colour vision can tell apart: M. Okabe, K. Ito, "Color Universal Design", 2008."""

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
SEQUENCE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW)
# Besides its colour every class has a marker.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def of_classes(count):
    """A colour and a marker for each of so many classes."""
    return [(SEQUENCE[k % len(SEQUENCE)], MARKERS[k % len(MARKERS)]) for k in range(count)]
