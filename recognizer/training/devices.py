"""Where a run is computed.

Lightning Fabric starts a process for each device, and brings mixed precision. It was chosen over
accelerate because a recipe with ``devices = 2`` then needs no launcher of its own: the other
processes run the same command again.
"""

from __future__ import annotations

import os
from functools import cache

import torch
from lightning_fabric import Fabric

from recognizer.errors import TrainingError


@cache
def launch(device: str, devices: int, precision: str) -> Fabric:
    """Return what trains on the devices; the first call starts their processes.

    Raises:
        TrainingError: there are not as many, or the precision is not theirs.
    """
    chosen = choose_device(device)
    if chosen.type != "cpu" and devices > (there := getattr(torch, chosen.type).device_count()):
        raise TrainingError(f"devices = {devices}: there are {there} of {chosen.type}")
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" else "fp32"
    if precision == "fp16" and chosen.type != "cuda":
        raise TrainingError(f'precision = "fp16" needs cuda, not {chosen.type}; use "bf16"')
    names = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    fabric = Fabric(
        accelerator=chosen.type,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=names[precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        TrainingError: the named device is unavailable.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, found in there.items() if found), "cpu")
    if not there.get(name, True):
        raise TrainingError(f'device {name!r} is unavailable; use device = "auto"')
    return torch.device(name)


def is_first_process() -> bool:
    """Return whether this process reports: the first of those that train together."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
