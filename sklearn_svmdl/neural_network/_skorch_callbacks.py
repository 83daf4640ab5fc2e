"""What may stand in the list of skorch's callbacks, what a callback listens to, and when it asks to stop."""

from opcode import opmap

from skorch.callbacks import Callback

_RAISE = opmap["RAISE_VARARGS"]


def check_callbacks(callbacks):
    """Raise TypeError unless each is a skorch callback, its class, or a pair of its name and one of these."""
    for item in callbacks or ():
        if not is_callback(item):
            raise TypeError(
                f"callbacks must hold skorch.callbacks.Callback objects, their classes, or pairs (name, callback), "
                f"got {item!r}."
            )


def is_callback(item):
    """Whether an item is one of these."""
    is_named = isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str)
    callback = item[1] if is_named else item
    return issubclass(callback if isinstance(callback, type) else type(callback), Callback)


def listens(callback, moment):
    """Whether a callback does anything at a moment, such as "on_batch_end"."""
    return getattr(getattr(callback, moment), "__func__", None) is not getattr(Callback, moment)


def is_asked_for(stop):
    """Whether somebody's `raise` is where a KeyboardInterrupt comes from, as callbacks end a training.

    Ctrl-C strikes at other instructions: as a function is called, or a loop goes round.
    """
    end = stop.__traceback__
    while end.tb_next is not None:
        end = end.tb_next
    return end.tb_frame.f_code.co_code[end.tb_lasti] == _RAISE
