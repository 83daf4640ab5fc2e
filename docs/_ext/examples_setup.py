"""What holds for every example of the gallery."""

import warnings


def quiet(gallery_conf, fname):
    """An example that warns fails the build, unless it shows the warning on purpose."""
    warnings.simplefilter("error")
