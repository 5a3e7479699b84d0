"""The engine: images in, predictions out; each frame, part and copy for TTA is scored.

It never imports torch, and one instance may be used by many threads at once.
"""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import ProviderError, UsageError, require_owner
from recognizer.imaging import (
    DETAIL_SIDE,
    Frame,
    ImageSource,
    Limits,
    LoadedImage,
    load_image,
    model_input,
    perceptual_hash,
)
from recognizer.imaging.pixels import altered
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import SecondLook
from recognizer.model.machine import available_cpus
from recognizer.model.maps import find_regions, local_probability, spread
from recognizer.model.numerics import logit
from recognizer.model.session import is_onnxruntime_error, open_session
from recognizer.policy.decide import LeadThresholds, decide, thresholds_of
from recognizer.policy.values import KnownMatch, Policy, Triage
from recognizer.prediction import Prediction, Region
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind

GPU_BATCH = 32  # frames in one pass on an accelerator, which a few would leave idle

# Transforms of test-time augmentation (TTA), as quarter turns and degrees of hue. The scores of a
# group are averaged with those of the view itself.
_TTA_GROUPS = ((1, 0), (2, 0), (3, 0)), ((0, 120), (0, 240))
_TTA_PASSES = sum(map(len, _TTA_GROUPS))  # for each view
_AHEAD = 2  # images, or batches, that wait for each thread
_LEAD_RATE = 0.01  # false-positive rate of the default policy: TTA would change no decision beyond


class _Scores(NamedTuple):
    """Log-odds and calibrated probabilities of each view: (views, labels or families)."""

    log_odds: NDArray[Any]
    labels: NDArray[Any]
    families: NDArray[Any]


class _Look(NamedTuple):
    """An image, the scores of its views, and all that the model gave for them, by name."""

    image: LoadedImage
    scores: _Scores
    outputs: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredImage:
    """An image, its prediction, and what the model gave for its views: name -> (views, ...)."""

    image: LoadedImage
    prediction: Prediction
    outputs: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Where the score of a label comes from; all but the prediction is empty where it failed.

    ``heatmap``, float32 (h, w), is the local score of the label, 0 to 1, on the grid of the
    model's last features, or a finer grid where a part was seen, over the whole upright
    image. ``regions`` are boxes around what stands out, highest first. ``rgb``, uint8 (height,
    width, 3), is the upright frame, perhaps reduced, on which the heat-map can be drawn.
    """

    prediction: Prediction
    label: str | None
    heatmap: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    regions: tuple[Region, ...] = ()
    rgb: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))


class RecognizerBase:
    """A bundle, and the decisions on predictions of its model."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._policies: dict[str | os.PathLike[str] | None, Policy] = {None: Policy()}
        self._thresholds: dict[str, tuple[LeadThresholds, ...]] = {}  # by the digest of a policy

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the model's outputs."""
        return self.bundle.label_names

    def predict(self, image: ImageSource) -> Prediction:
        """Score one image (see :data:`recognizer.ImageSource`)."""
        raise NotImplementedError

    def decide(
        self,
        prediction: Prediction,
        policy: Policy | str | os.PathLike[str] | None = None,
        known: Sequence[KnownMatch] = (),
        *,
        columns: Mapping[str, Any] | None = None,
    ) -> Triage:
        """Apply a policy to a prediction of this model and the known items that the image is near.

        The policy may be the name of one of this package (``"strict"``) or the path of a file,
        which is read once; without one, it is the default. ``columns`` are those of the listing
        (``title``, ``description``, ``reports`` and the like). A prediction of another model is a
        UsageError.
        """
        if not isinstance(prediction, Prediction):
            raise UsageError(f"prediction = {prediction!r}: give what predict returns")
        bundle, policy = self.bundle, self._policy_of(policy)
        is_foreign = prediction.bundle_digest not in {None, bundle.digest}
        if prediction.status is not Status.FAILED:
            is_foreign |= prediction.scores.keys() != {*self.labels}
            is_foreign |= prediction.families.keys() != {family.name for family in bundle.families}
        if is_foreign:
            words = f"the prediction comes from another model than {bundle.title}"
            raise UsageError(f"{words}: use the recognizer that made it")
        if (thresholds := self._thresholds.get(policy.digest)) is None:
            policy.check(bundle.taxonomy)
            thresholds = self._thresholds[policy.digest] = thresholds_of(bundle, policy)
        return decide(prediction, bundle, policy, known, columns, thresholds=thresholds)

    def _policy_of(self, policy: Policy | str | os.PathLike[str] | None) -> Policy:
        if isinstance(policy, Policy):
            return policy
        try:
            return self._policies[policy]
        except (KeyError, TypeError):  # it is new, or no name at all
            loaded = Policy.load(policy, self.bundle.taxonomy)  # type: ignore[arg-type]
            return self._policies.setdefault(policy, loaded)


class Recognizer(RecognizerBase):
    """A loaded model.

    Use :meth:`load`, or the constructor with a loaded bundle. A pickled recognizer is loaded again
    from the folder of its bundle.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        provider: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
        whole: bool = False,
    ) -> None:
        super().__init__(bundle)
        self.limits, self._is_whole = limits or Limits(), whole
        self._owner, self._threads = os.getpid(), threads
        again = partial(type(self), bundle, provider=provider, limits=limits, whole=whole)
        self._load_again = partial(again, threads=threads)
        self._session, self.provider = open_session(bundle, provider, threads), provider
        self._families = [family.name for family in bundle.families]
        self._products = [i for i, label in enumerate(bundle.labels) if label.kind is Kind.PRODUCT]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bundle.title!r}, provider={self.provider!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._load_again, ()

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        provider: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
        whole: bool = False,
    ) -> Self:
        """Load a bundle: a folder, or the name of one that the package carries, or the default.

        ``provider`` is ``cpu``, ``cuda``, ``coreml``, ``directml`` or ``openvino``; if it is
        unavailable, that is a ProviderError. ``threads`` are those of one pass; None leaves their
        number to onnxruntime. ``limits`` say what is refused before it is read or decoded. A bundle
        that is not there or was changed is a BundleError. A first look at a JPEG takes a fraction
        of its pixels, and all of what might be a lead; with ``whole`` it takes all of everything.
        """
        loaded = load_bundle(bundle)
        return cls(loaded, provider=provider, threads=threads, limits=limits, whole=whole)

    def predict(self, image: ImageSource) -> Prediction:
        """Score one image (see :data:`recognizer.ImageSource`).

        Bad input gives the status ``failed`` with a reason. What is not an image (a ``str``, an
        array of a wrong shape, a file object that cannot be read from its start) is a UsageError,
        and so is a call in a process that was forked after this was loaded; a failure of
        onnxruntime is a ProviderError.
        """
        return self.score_loaded([self.load_image(image)])[0].prediction

    def predict_many(
        self, images: Iterable[ImageSource], *, threads: int | None = None
    ) -> Iterator[Prediction]:
        """Score images, lazily and in order, each as :meth:`predict` does.

        ``threads``, by default one for each CPU, read, decode and score; a few images for each are
        taken ahead. An accelerator scores them together.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"threads = {threads}: at least 1")
        count, step = threads or available_cpus(), 1 if self.provider == "cpu" else GPU_BATCH
        recognizer = self if count == 1 or self._threads == 1 else self._of_one_thread
        ahead: deque[Future[list[Prediction]]] = deque()
        source = iter(images)
        pool = ThreadPoolExecutor(count)
        try:
            while batch := list(itertools.islice(source, step)):
                ahead.append(pool.submit(recognizer._predict_all, batch))
                if len(ahead) > _AHEAD * count:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _of_one_thread(self) -> "Recognizer":
        """The same model, each pass of which takes one thread: others work beside it."""
        return self._load_again(threads=1)

    def _predict_all(self, images: Sequence[ImageSource]) -> list[Prediction]:
        return [one.prediction for one in self.score_loaded([*map(self.load_image, images)])]

    def score_loaded(
        self, images: Sequence[LoadedImage], outputs: Sequence[str] = ("scores",)
    ) -> list[ScoredImage]:
        """Score images of :meth:`load_image`, and keep the outputs that are named.

        ``scores`` is the first of them; ``maps`` are for :meth:`regions`. Those that might be leads
        and of which a fraction was decoded are decoded whole, and scored again.
        """
        looks = self._look(images, outputs)
        highest = [look.scores.families.max(initial=0) * bool(look.image.encoded) for look in looks]
        near = [i for i, score in enumerate(highest) if score > self.bundle.gate]
        whole = [self._decoded_whole(looks[i].image) for i in near]
        for i, look in zip(near, self._look(whole, outputs) if whole else (), strict=True):
            looks[i] = look
        return [self._scored(*look) for look in looks]

    def _look(self, images: Sequence[LoadedImage], outputs: Sequence[str]) -> list[_Look]:
        views = [view for image in images for view in image.views]
        results = self._run(outputs, [view.rgb for view in views])
        # Of all images at once: for a few numbers, numpy's calls cost more than its arithmetic.
        scores = self._calibrate(results[0], views)
        looks, last = [], 0
        for image in images:
            rows = slice(last, last + len(image.views))
            last = rows.stop
            arrays = {name: array[rows] for name, array in zip(outputs, results, strict=True)}
            looks.append(_Look(image, _Scores(*(part[rows] for part in scores)), arrays))
        return looks

    def _decoded_whole(self, image: LoadedImage) -> LoadedImage:
        """Decode an image again, whole; what cannot be had so stays as it is."""
        whole = self.load_image(image.encoded or b"", sha256=image.sha256, whole=True)
        return image if whole.status is Status.FAILED else whole

    def _scored(
        self, image: LoadedImage, scores: _Scores, outputs: Mapping[str, NDArray[np.float32]]
    ) -> ScoredImage:
        again = self._augment if self.bundle.second_look is None else self._look_again
        prediction = self._prediction(image, again(image, scores))
        return ScoredImage(image=image, prediction=prediction, outputs=outputs)

    @cached_property
    def _second_session(self) -> Any:
        """The network of the second look, loaded with the first image that needs it."""
        return open_session(self.bundle, self.provider, self._threads, self.bundle.second_look)

    def _look_again(self, image: LoadedImage, scores: _Scores) -> _Scores:
        """Rescore the views that may be leads, the highest first, as far as the limits allow."""
        highest, second = scores.families.max(axis=1, initial=0), self.bundle.second_look
        left = self.limits.views_after(image.decode_ms) - len(image.views)
        near = np.argsort(-highest, kind="stable")[: max(1, left)]
        near = near[highest[near] > self.bundle.gate]
        if second is None or not near.size:
            return scores
        (others,) = self._run(["scores"], [image.views[i].rgb for i in near.tolist()], second)
        log_odds = scores.log_odds.copy()
        seen = log_odds[near, : others.shape[1]]  # labels that were enrolled later are not in it
        log_odds[near, : others.shape[1]] += second.weight * (others - seen)
        return self._calibrate(log_odds, image.views)

    def _augment(self, image: LoadedImage, scores: _Scores) -> _Scores:
        """Rescore near-threshold views with TTA until one is a lead; higher means count.

        The mean over quarter turns, or over three hues, raises the scores of products more than
        those of other things. The highest views come first, and all passes together are as many
        as the limits allow. Maps stay those of the view itself.
        """
        highest = scores.families.max(axis=1, initial=0)
        left = self.limits.views_after(image.decode_ms) - len(image.views)
        near = np.argsort(-highest, kind="stable")[: max(0, left // _TTA_PASSES)]
        near = near[highest[near] > self.bundle.tta_threshold]
        before, near_views = scores.log_odds[near], [image.views[i] for i in near.tolist()]
        scores = _Scores(*(part.copy() for part in scores))
        threshold = self.bundle.any_product_thresholds[_LEAD_RATE]
        for group in _TTA_GROUPS:
            if not near_views or scores.families.max() > threshold:
                break
            copies = (altered(view.rgb, *transform) for transform in group for view in near_views)
            (augmented,) = self._run(["scores"], copies)
            mean = np.mean([before, *np.split(augmented, len(group))], axis=0)
            means = self._calibrate(mean, near_views)
            # All labels together: the higher of each finds no more leads, and more wrong labels.
            is_higher = means.families.max(axis=1) > scores.families[near].max(axis=1)
            for kept, new in zip(scores, means, strict=True):
                kept[near[is_higher]] = new[is_higher]
        return scores

    def regions(self, scored: ScoredImage, label: str) -> tuple[Region, ...]:
        """Return where a label shows, by the maps of the pass that scored the image."""
        return self._locate(scored, label).regions

    def embed(self, image: ImageSource) -> NDArray[np.float32] | None:
        """Return the features, (channels,), of the view of an image that scores highest.

        Images and errors are those of :meth:`predict`; an image that fails there has None.
        """
        (scored,) = self.score_loaded([self.load_image(image)], ["scores", "embedding"])
        highest = scored.prediction.frame, scored.prediction.part
        places = [(view.index, view.box) for view in scored.image.views]
        return scored.outputs["embedding"][places.index(highest)] if highest in places else None

    def explain(self, image: ImageSource, label: str | None = None) -> Explanation:
        """Show where in an image the score of a label comes from, by default of the top product.

        It raises as :meth:`predict`, and a UsageError for a label that the model does not have.
        """
        if label is not None and label not in self.labels:
            raise UsageError(f"no label {label!r}; this model has: {', '.join(self.labels)}")
        (scored,) = self.score_loaded([self.load_image(image, whole=True)], ["scores", "maps"])
        prediction = scored.prediction
        if not prediction.scores:
            return Explanation(prediction=prediction, label=label)
        if label is None:
            label = max(self.bundle.products or self.labels, key=prediction.scores.__getitem__)
        return self._locate(scored, label)

    def features(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return log-odds before calibration, float32 (N, labels), and features (N, channels).

        Images are uint8 (height, width, 3), RGB; give at least one.
        """
        log_odds, embedding = self._run(["scores", "embedding"], images)
        return log_odds, embedding

    def load_image(
        self, image: ImageSource, *, sha256: str | None = None, whole: bool = False
    ) -> LoadedImage:
        """Decode an image as this model needs it; ``sha256``, if known already, is of its bytes."""
        whole, second, size = (
            whole or self._is_whole,
            self.bundle.second_look,
            self.bundle.input.size,
        )
        side = min(size if second is None or not whole else max(size, second.size), DETAIL_SIDE)
        return load_image(
            image, min_side=side, limits=self.limits, sha256=sha256, parts=True, whole=whole
        )

    def _run(
        self,
        outputs: Sequence[str],
        images: Iterable[NDArray[np.uint8]],
        second: SecondLook | None = None,
    ) -> list[NDArray[np.float32]]:
        require_owner(self._owner)
        session = self._session if second is None else self._second_session
        parts: list[list[NDArray[np.float32]]] = []
        size, step = (second or self.bundle.input).size, 1 if self.provider == "cpu" else GPU_BATCH
        source = iter(images)
        while batch := list(itertools.islice(source, step)):
            inputs = np.empty((len(batch), size, size, 3), np.uint8)
            for rgb, target in zip(batch, inputs, strict=True):
                model_input(rgb, size, target)
            try:
                parts.append(session.run([*outputs], {"images": inputs}))
            except Exception as error:
                if not is_onnxruntime_error(error):
                    raise
                if "Failed to allocate memory" in str(error):
                    raise MemoryError(f"onnxruntime: {error}") from error
                raise ProviderError(f"the provider {self.provider!r} failed: {error}") from error
        if not parts:
            return [np.zeros((0, len(self.labels)), np.float32)] * len(outputs)
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _calibrate(self, log_odds: NDArray[np.float32], views: Sequence[Frame]) -> _Scores:
        is_part = np.array([view.box is not None for view in views])
        probabilities = self.bundle.calibrate(log_odds, self.bundle.part_shift * is_part[:, None])
        return _Scores(log_odds, probabilities, self.bundle.family_scores(probabilities))

    def _prediction(self, image: LoadedImage, scores: _Scores) -> Prediction:
        status, reason, detail = image.status, image.reason, image.detail
        scored: dict[str, Any] = {}
        if status is not Status.FAILED and not np.isfinite(scores.log_odds).all():
            # No threshold would ever stop it.
            status, reason = Status.FAILED, Reason.INTERNAL_ERROR
            detail = "the model gave a score that is not a number"
        if status is not Status.FAILED:
            products, families = scores.labels[:, self._products], scores.families.max(axis=0)
            view = image.views[int(products.max(axis=1).argmax()) if self._products else 0]
            scored = {
                "scores": dict(zip(self.labels, scores.labels.max(axis=0).tolist(), strict=True)),
                "families": dict(zip(self._families, families.tolist(), strict=True)),
                "frame": view.index,
                "part": view.box,
                "phash": perceptual_hash(_whole(image, view).rgb),
            }
        return Prediction(
            status=status,
            reason=reason,
            detail=detail,
            sha256=image.sha256,
            format=image.format,
            width=image.width,
            height=image.height,
            frames=image.frame_count,
            bundle_digest=self.bundle.digest,
            **scored,
        )

    def _locate(self, scored: ScoredImage, label: str) -> Explanation:
        """Explain the score of a label by the view in which it is highest."""
        image, column = scored.image, self.labels.index(label)
        scores = self._calibrate(scored.outputs["scores"], image.views)
        index = int(scores.labels[:, column].argmax())
        local = local_probability(scored.outputs["maps"][index], self.bundle)
        view = image.views[index]
        log_odds = np.moveaxis(logit(local), 0, -1)
        shift = 0.0 if view.box is None else self.bundle.part_shift
        heatmap = self.bundle.calibrate(log_odds, shift)[..., column].astype(np.float32)
        size = (image.width or 0, image.height or 0)
        if view.box is not None:
            heatmap = spread(heatmap, view.box, size)
        regions = tuple(
            replace(region, frame=view.index)
            for region in find_regions(local[column], label, size, view.box)
        )
        prediction, rgb = replace(scored.prediction, regions=regions), _whole(image, view).rgb
        return Explanation(
            prediction=prediction, label=label, heatmap=heatmap, regions=regions, rgb=rgb
        )


def _whole(image: LoadedImage, view: Frame) -> Frame:
    """Return the frame that a view is a part of, or is."""
    return next(frame for frame in image.frames if frame.index == view.index)
