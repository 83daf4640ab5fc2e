"""The machine a network runs on: devices, threads and random numbers, with nothing global left changed."""

import threading
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

# --- devices


def available_devices():
    """The devices of this machine, the fastest first."""
    found = [("cuda", torch.cuda.is_available), ("mps", torch.backends.mps.is_available)]
    return [name for name, works in found if works()] + ["cpu"]


def resolve_device(device):
    """The device to train on; ValueError if the machine does not have it."""
    if device == "cpu":
        return device
    available = available_devices()
    if device == "auto":
        return available[0]
    if device.split(":")[0] not in available:
        raise ValueError(f"device={device!r} is not available here; this machine has {available}. Try device='auto'.")
    return device


def device_or_cpu(device):
    """The device to predict on: a model trained on a GPU predicts on the CPU where there is none."""
    try:
        return resolve_device(device)
    except ValueError:
        return "cpu"


def accepted_dtypes(dtype, device):
    """The numpy precisions X may keep, the first being the one other input is converted to."""
    if device.split(":")[0] == "mps":
        if dtype == "float64":
            raise ValueError("dtype='float64' is not available on device 'mps'. Use dtype='auto' or 'float32'.")
        return (np.float32,)
    return (np.float64, np.float32) if dtype == "auto" else (np.dtype(dtype).type,)


# --- threads

# Multiplications of a forward pass over one batch or chunk below which waking other threads costs more than
# they save.
WORTH_THREADS = 2**24


@contextmanager
def fitting_threads(multiplications):
    """A context with one OpenMP thread for small steps, and the user's setting otherwise.

    OpenMP keeps this number for each calling thread, so other threads of the program, which may be training
    too, do not notice; it is back to what it was at the end, wherever an interrupt strikes.
    """
    pools = [] if multiplications >= WORTH_THREADS else _openmp()
    before = [pool.num_threads for pool in pools]
    try:
        _set_threads(pools, [1] * len(pools))
        yield
    finally:
        try:
            _set_threads(pools, before)
        except KeyboardInterrupt:
            _set_threads(pools, before)
            raise


def _set_threads(pools, numbers):
    for pool, number in zip(pools, numbers):
        pool.set_num_threads(number)


@cache
def _openmp():
    """The OpenMP libraries that are loaded; looking them up takes milliseconds, so it is done once."""
    return ThreadpoolController().select(user_api="openmp").lib_controllers


# --- random numbers

_LOCK = threading.RLock()


def make_generator(seed):
    """A torch generator of our own."""
    return torch.Generator().manual_seed(seed)


def draw_seed(random_state):
    """A seed for `make_generator` from a numpy RandomState."""
    return int(random_state.randint(np.iinfo(np.int32).max))


@contextmanager
def borrowed_global_generator(generator, device="cpu"):
    """Let code that insists on torch's global CPU generator draw from ours, one thread at a time.

    `torch.random.fork_rng` is no help: it does not keep other threads from drawing. On a CUDA device its
    global generator is lent a seed in the same way.
    """
    with _LOCK, _borrowed_cuda_generator(generator, device):
        before = torch.get_rng_state()
        try:
            torch.set_rng_state(generator.get_state())
            yield
        finally:
            generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)


@contextmanager
def _borrowed_cuda_generator(generator, device):
    if not device.startswith("cuda"):
        yield
        return
    yield from _lent_seed(generator, device)


def _lent_seed(generator, device):  # pragma: no cover - needs a CUDA device
    before = torch.cuda.get_rng_state(device)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    try:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
        yield
    finally:
        torch.cuda.set_rng_state(before, device)
