"""What may stand in the list of callbacks."""

from skorch.callbacks import Callback


def check_callbacks(callbacks):
    """Raise TypeError unless each is a skorch callback, its class, or a pair of its name and one of these."""
    for item in callbacks or ():
        callback = item[1] if _is_named(item) else item
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks must hold skorch.callbacks.Callback objects, their classes, or pairs (name, callback), "
                f"got {item!r}."
            )


def _is_named(item):
    return isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)
