"""Axes, ticks and legends of the displays; whoever calls has checked that matplotlib is there."""

import numpy as np

_WIDTH = 7.4
_FEW_DECADES = 1e3


def new_axes(*, height=4.8):
    """Axes of a new figure, in which a legend beside them finds room."""
    return _figure(figsize=(_WIDTH, height))


def new_panels(count, *, height):
    """So many axes below one another, each of this height, over the same x."""
    return _figure(count, sharex=True, squeeze=False, figsize=(_WIDTH, 0.8 + height * count))[:, 0]


def _figure(*shape, **options):
    import matplotlib.pyplot as plt

    return plt.subplots(*shape, layout="constrained", **options)[1]


def panels_of(ax, quantities, *, height):
    """The given axes, or new ones, one for each quantity."""
    panels = new_panels(len(quantities), height=height) if ax is None else np.ravel(ax)
    if len(panels) != len(quantities):
        raise ValueError(f"ax must hold an Axes for each of {list(quantities)}, got {len(panels)}.")
    return panels


def legends_beside(panels):
    """A legend to the right of each panel, where it hides no data, of what no panel above has named."""
    named = set()
    for ax in panels:
        handles, labels = ax.get_legend_handles_labels()
        new = {label: handle for handle, label in zip(handles, labels, strict=True) if label not in named}
        named.update(new)
        if new:
            place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
            ax.legend(new.values(), new.keys(), fontsize="small", frameon=False, **place)


def plain_log(axis):
    """Ticks of a logarithmic axis written out: the powers of ten, of a few decades also 2 and 5 times these."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < _FEW_DECADES * low else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
