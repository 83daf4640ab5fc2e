"""Names of parametrised tests on which all processes of a parallel run agree."""

import re


def name_of(value):
    """The value as text, without the addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
