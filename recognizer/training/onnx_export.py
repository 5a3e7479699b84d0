"""Write a trained network as an ONNX file in fp32, and compare it and its int8 version with torch.

The int8 version is made by :mod:`recognizer.training.quantization`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from recognizer.errors import TrainingError
from recognizer.model.description import Difference, Parity
from recognizer.training.model import ProductNetwork
from recognizer.training.quantization import run_file

OPSET = 18
MAX_MEGABYTES = 2000
"""Of protobuf, in one file; a bundle's model keeps no weights in other files."""

_FAR_BELOW = -1e4  # stands for minus infinity, which not every runtime adds cleanly


class ServedNetwork(nn.Module):
    """The network as it is served: log-odds instead of logits."""

    def __init__(self, network: ProductNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log-odds (N, labels), maps (N, labels, h, w) and embedding (N, channels)."""
        logits, maps, embedding = self.network(images)
        return log_odds_of(logits), maps, embedding


def log_odds_of(logits: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)) of softmax probabilities, (N, labels)."""
    # The logit against the log-sum-exp of all the others.
    others = torch.eye(logits.shape[1]) * _FAR_BELOW
    return logits - torch.logsumexp(logits[:, None, :] + others, dim=2)


def export_fp32(served: ServedNetwork, size: int, path: Path) -> None:
    """Write the network as one ONNX file with a free batch dimension.

    Raises:
        TrainingError: it is too large for one, or torch cannot export it.
    """
    megabytes = sum(4 * weight.numel() for weight in served.parameters()) / 1e6
    if megabytes > MAX_MEGABYTES:
        raise TrainingError(
            f"the network has {megabytes:.0f} MB of weights, and one ONNX file holds "
            f"{MAX_MEGABYTES}: train a smaller backbone"
        )
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own future
        program = torch.onnx.export(
            served.eval(),
            (example,),
            input_names=["images"],
            output_names=["scores", "maps", "embedding"],
            dynamic_shapes={"images": {0: torch.export.Dim("N", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch.onnx.export returned no program")
    program.save(str(path), external_data=False)
    model = onnx.load(str(path))
    for node in model.graph.node:  # the exporter notes the paths of this computer's source files
        del node.metadata_props[:]
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def parity(
    served: ServedNetwork, fp32: Path, int8: Path | None, inputs: NDArray[np.uint8]
) -> Parity:
    """Compare the ONNX files with the network on model inputs, uint8, (N, size, size, 3)."""
    with torch.no_grad():
        batches = [torch.from_numpy(inputs[i : i + 8]) for i in range(0, len(inputs), 8)]
        reference = torch.cat([served(batch)[0] for batch in batches]).sigmoid().numpy()

    def difference(file: Path) -> Difference:
        found = np.abs(1 / (1 + np.exp(-run_file(file, inputs))) - reference)
        return Difference(largest=float(f"{found.max():.3g}"), mean=float(f"{found.mean():.3g}"))

    return Parity(
        photos=len(inputs), fp32=difference(fp32), int8=difference(int8) if int8 else None
    )
