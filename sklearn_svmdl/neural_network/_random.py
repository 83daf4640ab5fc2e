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
def borrowed_global_generator(generator, device="cpu"):
    """Let code that insists on torch's global CPU generator draw from ours, one thread at a time.

    `torch.random.fork_rng` is no help: it does not keep other threads from drawing. On a CUDA device its
    global generator is lent a seed in the same way.
    """
    with _LOCK, _borrowed_cuda_generator(generator, device):
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)


@contextmanager
def _borrowed_cuda_generator(generator, device):
    if not device.startswith("cuda"):
        yield
        return
    before = torch.cuda.get_rng_state(device)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with torch.cuda.device(device):
        torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        torch.cuda.set_rng_state(before, device)
