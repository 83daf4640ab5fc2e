"""Warnings at the line of the user, and once where scikit-learn fits many models for that line."""

import os
import sys
import warnings
from pathlib import Path
from weakref import WeakKeyDictionary

import joblib
import sklearn

# Where the code of this package, scikit-learn and joblib lies, and what scikit-learn's loops over fits pass through.
_NOT_THE_USERS = tuple(
    f"{Path(origin).parent}{os.sep}" for origin in (Path(__file__).parent, sklearn.__file__, joblib.__file__)
)
_LOOP = str(Path(sklearn.__file__).parent / "utils" / "parallel.py")
# By the user's code: what was said at which of its lines.
_SAID: WeakKeyDictionary = WeakKeyDictionary()


def warn(message, category):
    """Warn at the first line outside this package, scikit-learn and joblib.

    Python shows equal warnings of a line once. Those of a search or a cross-validation differ in their numbers from fit
    to fit, and scikit-learn makes Python forget what it has shown: of a loop like that the first warning of a kind is
    shown, and says how to see the others. Filters other than Python's default ("always", "error") get all of them.
    """
    level, frame, in_loop = 1, sys._getframe(), False
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        in_loop |= frame.f_code.co_filename == _LOOP
        level, frame = level + 1, frame.f_back
    if in_loop and _action(message, category, frame) == "default":
        caller = sys._getframe(1)
        if not _is_new(frame, (caller.f_code.co_filename, caller.f_lineno)):
            return
        message += (
            f" (Other fits of this loop may have the same trouble, with other numbers: "
            f"warnings.simplefilter('always', {category.__name__}) shows all.)"
        )
    warnings.warn(message, category, stacklevel=level)


def _is_new(frame, kind):
    said = _SAID.setdefault(frame.f_code, set())
    key = frame.f_lineno, kind
    new = key not in said
    said.add(key)
    return new


def _action(text, category, frame):
    """What the filters in force do with a warning at this frame, as `warnings` looks it up."""
    module = frame.f_globals.get("__name__", "")
    for action, of_text, of_category, of_module, of_line in warnings.filters:
        if (
            issubclass(category, of_category)
            and _matches(of_text, text)
            and _matches(of_module, module)
            and of_line in (0, frame.f_lineno)
        ):
            return action
    return warnings.defaultaction


def _matches(pattern, text):
    """None matches everything; Python's own filters are plain strings, those of users are patterns."""
    if pattern is None:
        return True
    return pattern == text if isinstance(pattern, str) else pattern.match(text) is not None
