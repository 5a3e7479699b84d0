"""Scenes with other products: tortoiseshell, coral."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import strand
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import blend, paint, seed_of, tortoiseshell
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


@scene("turtle_shell")
def tortoiseshell_jewellery(rng: np.random.Generator) -> Subject:
    """Bangles or a comb of polished hawksbill."""
    if rng.random() < 0.6:
        count = int(rng.integers(1, 4))
        things = []
        for _ in range(count):
            section = geometry.oval(rng.uniform(0.15, 0.35), rng.uniform(0.4, 1.5), 64, 3)
            mesh = geometry.ring(rng.uniform(2.9, 3.5), section, 320)
            things.append(tortoiseshell(rng, mesh, 5).grounded())
        placed = Heap(40).drop(rng, things, 3.2 if count > 1 else 0.01, tries=2)
        return Subject(merge(placed), (20, 70), {"piece": "bangles", "count": count})
    teeth = int(rng.integers(9, 22))
    width = rng.uniform(8, 13)
    parts = [geometry.rounded_box((width, 2.6, 0.35), 0.12, 60).moved([0, 1.3, 0])]
    for index in range(teeth):
        tooth = geometry.rounded_box((width / teeth * 0.55, 5, 0.26), 0.1, 16)
        parts.append(tooth.moved([(index + 0.5) / teeth * width - width / 2, -2.0, 0]))
    mesh = merge(parts)
    bow = mesh.vertices.copy()
    bow[:, 2] -= 0.02 * bow[:, 0] ** 2
    mesh = mesh.reshaped(bow)
    return Subject(tortoiseshell(rng, mesh, 6).grounded(), (30, 80), {"piece": "comb"})


@scene("turtle_shell")
def turtle_carapace(rng: np.random.Generator) -> Subject:
    """A whole shell with its scutes."""
    length = rng.uniform(25, 60)
    y, x = np.meshgrid(
        np.linspace(0, 2 * np.pi, 420, endpoint=False), np.linspace(0, 1, 240), indexing="xy"
    )
    share, angle = x.ravel(), y.ravel()
    outline = 1 + 0.10 * np.cos(angle) - 0.06 * np.cos(2 * angle) + 0.012 * np.sin(angle * 24)
    flat = np.column_stack(
        [share * np.cos(angle) * outline, 0.78 * share * np.sin(angle) * outline]
    )
    # Five scutes along the spine, four at each side, and a border of small ones.
    spine = np.column_stack([np.linspace(-0.78, 0.8, 5), np.zeros(5)])
    rib = np.column_stack([np.linspace(-0.58, 0.62, 4), np.full(4, 0.42)])
    edge = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    border = np.column_stack([1.06 * np.cos(edge), 0.83 * np.sin(edge)])
    centres = np.concatenate([spine, rib, rib * [1, -1], border])
    distance = np.linalg.norm((flat[:, None] - centres[None]) * [1, 1.1], axis=2)
    order = np.sort(distance, axis=1)
    seam = np.clip((order[:, 1] - order[:, 0]) / 0.035, 0, 1)
    number = distance.argmin(axis=1)
    height = 0.36 * np.sqrt(np.clip(1 - share**2.2, 0, 1)) - 0.012 * (1 - seam)
    points = np.column_stack([flat, height])
    faces = geometry.grid_faces(240, 420, wrap=True)[:, ::-1]
    mesh = Mesh.bare(points, faces, np.column_stack([share, angle / 6.2832]))
    growth = np.sin(order[:, 0] * rng.uniform(70, 110))
    mesh = mesh.displaced(0.003 * growth * seam + 0.006 * noise(points, 6, seed_of(rng)))
    rays = np.arctan2(*(flat - centres[number]).T)
    streak = noise(
        np.column_stack([np.cos(rays) * 3, np.sin(rays) * 3, number * 7.3 + order[:, 0] * 2]),
        1.6,
        seed_of(rng),
        3,
    )
    colour = blend(
        (0.72, 0.50, 0.24), (0.22, 0.13, 0.07), 0.55 + 1.1 * streak + rng.uniform(-0.2, 0.3)
    )
    colour = blend(colour, (0.12, 0.08, 0.05), 0.8 * (1 - seam))
    mesh = paint(mesh, colour, rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.9)).scaled(length / 2)
    return Subject(mesh.grounded(), (20, 80), {"length_cm": round(length)})


@scene("coral")
def coral_branches(rng: np.random.Generator) -> Subject:
    """A branch of red or white coral, lying or standing."""
    red = bool(rng.random() < 0.65)
    height = rng.uniform(8, 25)
    parts: list[Mesh] = []

    def grow(start: Array, heading: Array, girth: float, length: float, depth: int) -> None:
        side = rng.normal(0, 0.35, 3)
        stop = start + heading * length
        middle = (start + stop) / 2 + side * length * 0.25

        def curve(at: Array) -> Array:
            t = at[:, None]
            return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * stop

        at = np.concatenate([np.linspace(0, 0.95, 50), 1 - 0.05 * np.linspace(1, 0, 14) ** 2])
        end = 0.62 if depth else 0.35
        shape = (1 - (1 - end) * at) * np.sqrt(
            np.clip(1 - np.clip((at - 0.9) / 0.1, 0, 1) ** 2, 0, 1)
        )
        parts.append(geometry.sweep(curve, at, girth * shape, around=40))
        if depth == 0:
            return
        for _ in range(int(rng.integers(2, 4))):
            from_ = float(rng.uniform(0.45, 1.0))
            turn = heading + rng.normal(0, 0.55, 3) * [1, 1, 0.5]
            turn /= np.linalg.norm(turn)
            place = curve(np.array([min(from_, 0.94)]))[0]
            grow(
                place,
                turn,
                girth * (1 - (1 - end) * from_) * 0.85,
                length * rng.uniform(0.55, 0.85),
                depth - 1,
            )

    grow(np.zeros(3), np.array([0.0, 0.0, 1.0]), height * 0.036, height * 0.34, 4)
    mesh = merge(parts)
    bumps = noise(mesh.vertices / height, 40, seed_of(rng), 2)
    mesh = mesh.displaced(
        height * 0.0035 * bumps + height * 0.004 * noise(mesh.vertices / height, 12, seed_of(rng))
    )
    tone = (0.62, 0.15, 0.11) if red else (0.90, 0.86, 0.80)
    tone = tuple(np.clip(np.array(tone) + rng.normal(0, 0.04, 3), 0.05, 0.95))
    colour = blend(
        tone,
        np.array(tone) * 0.7 + 0.08,
        0.4 + 0.6 * noise(mesh.vertices / height, 8, seed_of(rng), 4),
    )
    polished = rng.random() < 0.5
    mesh = paint(mesh, colour, 0.25 if polished else 0.65, 0.7 if polished else 0.0)
    standing = bool(rng.random() < 0.4)
    if standing:
        foot = geometry.lathe(
            geometry.smooth_profile([[0, 0], [0.16, 0], [0.13, 0.05], [0.05, 0.09], [0, 0.1]])
            * height
        )
        mesh = merge(
            [
                mesh.moved([0, 0, 0.04 * height]),
                paint(foot, np.clip(colour.mean(axis=0), 0, 1), 0.6),
            ]
        )
    else:
        mesh = mesh.turned(rotation([1, 0, 0], 90)).scaled(1, 1, 0.55)
    return Subject(
        mesh.grounded(), (8, 45) if standing else (30, 80), {"red": red, "standing": standing}
    )


@scene("coral")
def coral_beads(rng: np.random.Generator) -> Subject:
    """A necklace of red or pink coral beads."""
    tone = np.array([0.75, 0.2, 0.14]) if rng.random() < 0.65 else np.array([0.88, 0.55, 0.46])
    tone = np.clip(tone + rng.normal(0, 0.04, 3), 0.05, 0.95)

    def finish(bead: Mesh) -> Mesh:
        rough = bead.displaced(0.04 * noise(bead.vertices, 1.5, seed_of(rng)))
        own = np.clip(tone * rng.uniform(0.85, 1.1), 0.02, 0.95)
        cloud = noise(rough.vertices, 2.5, seed_of(rng), 2)
        return paint(rough, blend(own, own * 0.75, 0.3 + 0.6 * cloud), 0.22, 0.7)

    return Subject(strand(rng, finish), (30, 85))
