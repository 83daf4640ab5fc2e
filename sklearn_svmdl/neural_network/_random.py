"""Random numbers of our own: nothing here moves numpy's or torch's global generators."""

import threading
from contextlib import contextmanager

import numpy as np
import torch

_LOCK = threading.RLock()


def make_generator(random_state, stream):
    """A torch generator from a numpy RandomState; `stream` tells apart the calls that continue one run."""
    return torch.Generator().manual_seed(int(random_state.randint(np.iinfo(np.int32).max)) + stream)


@contextmanager
def borrowed_global_generator(generator):
    """Let code that insists on torch's global CPU generator draw from ours, one thread at a time.

    `torch.random.fork_rng` is no help: it does not keep other threads from drawing meanwhile.
    """
    with _LOCK:
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)
