"""The head that training begins with: a multinomial logistic regression on frozen features."""

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.model import ProductNetwork
from recognizer.lab.training.onnx_export import export_fp32
from recognizer.lab.training.quantization import run_file
from recognizer.lab.training.weights import EarlierHead

Features = NDArray[np.float32]

UNSEEN_LOGIT = -20.0  # of a label without a training photo, which a fold may have

_SOURCE_POWER = 0.0  # of the regression, which finds most if all sources of a label count alike
_TOGETHER = 64  # photos in a transaction


def photo_weights(
    photos: Sequence[Photo],
    label_power: float,
    source_power: float,
    label_weights: Mapping[str, float] = {},
) -> NDArray[np.float64]:
    """Return how much each photo counts, balanced by label and by source; the sum is 1.

    A label's share is its photo count to ``label_power`` (times its weight); within the label a
    source's share is its count to ``source_power``; within the source all photos are alike.
    """
    labels = Counter(p.label for p in photos)
    pairs = Counter((p.label, p.source) for p in photos)
    source_total: defaultdict[str, float] = defaultdict(float)
    for (label, _), count in pairs.items():
        source_total[label] += count**source_power
    weights = np.array(
        [
            labels[p.label] ** label_power
            * label_weights.get(p.label, 1.0)
            * pairs[p.label, p.source] ** source_power
            / source_total[p.label]
            / pairs[p.label, p.source]
            for p in photos
        ]
    )
    return np.asarray(weights / weights.sum(), np.float64)


def features_of(
    network: ProductNetwork,
    photos: Sequence[Photo],
    cache: PhotoCache,
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Features:
    """Return the pooled features of photos from an untrained network, float32, (N, channels).

    The photos are in the cache, which also gets the features that are missing.
    """
    maker = maker_of(network, cache)
    known = cache.features(maker)
    missing = list({p.sha256: p for p in photos if p.sha256 not in known}.values())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        if missing:  # onnxruntime takes a fifth of torch's time on a processor
            export_fp32(network, cache.size, file)
        for first in range(0, len(missing), _TOGETHER):
            some = missing[first : first + _TOGETHER]
            vectors = run_file(file, cache.squares(some), "embedding")
            cache.add_features(maker, some, vectors)
            known.update((p.sha256, v) for p, v in zip(some, vectors, strict=True))
            on_progress(first + len(some), len(missing))
    return np.stack([known[p.sha256] for p in photos]).astype(np.float32)


def maker_of(network: ProductNetwork, cache: PhotoCache) -> str:
    """Return what a cache has the features of a network under: a digest of all but the head."""
    digest = hashlib.sha256(str(network.is_root).encode())
    for name, value in network.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return f"{digest.hexdigest()} {cache.size}"


def fit_head(
    features: Features, photos: Sequence[Photo], labels: Sequence[str], label_power: float, c: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a logistic regression on standardised features, the penalty being |W|^2 / (2 c N).

    The weights that are returned, (labels, channels), and the bias are for features of N photos,
    (N, channels), that are not standardised.
    """
    mean, std = features.mean(0), features.std(0) + 1e-6
    inputs = torch.from_numpy(np.column_stack([(features - mean) / std, np.ones(len(features))]))
    inputs = inputs.float()
    target = torch.tensor([labels.index(p.label) for p in photos])
    importance = torch.from_numpy(photo_weights(photos, label_power, _SOURCE_POWER)).float()
    solution = torch.zeros(inputs.shape[1], len(labels), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [solution], max_iter=60, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(inputs @ solution, target, reduction="none")
        total = (losses * importance).sum() + (solution[:-1] ** 2).sum() / (2 * c * len(features))
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    weight = solution.detach()[:-1] / torch.from_numpy(std)[:, None]
    bias = solution.detach()[-1] - torch.from_numpy(mean) @ weight
    present = {p.label for p in photos}
    for place, name in enumerate(labels):
        if name not in present:
            weight[:, place], bias[place] = 0.0, UNSEEN_LOGIT
    return weight.T.contiguous(), bias


def keep_earlier(
    weight: torch.Tensor, bias: torch.Tensor, earlier: EarlierHead
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of a head, (labels, channels) and (labels,), and of an earlier one.

    Labels that the earlier one lacks stay as they are; those without a photo are the earlier one's.
    With a few hundred photos of few sources a head forgets what the earlier one had learned; the
    mean finds more on sources that were never seen than either (Wortsman et al., "Robust
    fine-tuning of zero-shot models", 2022; docs/training.md has what was measured).
    """
    share = torch.where(bias == UNSEEN_LOGIT, 1.0, 0.5) * earlier.known
    return weight.lerp(earlier.weight, share[:, None]), bias.lerp(earlier.bias, share)
