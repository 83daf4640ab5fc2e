"""What holds for every example of the gallery."""

import warnings

_DURING = []


def strict(gallery_conf, fname, when):
    """An example that warns fails the build; what runs after it has the filters of before."""
    if when == "before":
        _DURING.append(warnings.catch_warnings())
        _DURING[-1].__enter__()
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    elif _DURING:
        _DURING.pop().__exit__(None, None, None)
