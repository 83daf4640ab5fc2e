"""Where to compute, and in which precision."""

import numpy as np
import torch


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
        raise ValueError(
            f"device={device!r} is not available here; this machine has {available}. Try device='auto'."
        )
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
            raise ValueError(
                "dtype='float64' is not available on device 'mps'. Use dtype='auto' or 'float32'."
            )
        return (np.float32,)
    return (np.float64, np.float32) if dtype == "auto" else (np.dtype(dtype).type,)
