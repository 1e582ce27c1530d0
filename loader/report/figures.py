"""The report's pictures, each as PNG bytes with a text for those who cannot see it."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from decant.loader.artifact.records import TopRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# eight rows of eight: still to be told apart on a phone
MOST_TILES = 64
SIDE = 2.8
# can be read on white paper and on black, at the size of a heading
BETWEEN = "0.48"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Picture:
    """`name` is the PNG's file name without its ending; `alt` says what is seen.

    A `plot` is ink on white paper, and may be inverted in the dark; the colours of any other
    picture mean something, and what it does not cover is transparent.
    """

    name: str
    title: str
    alt: str
    png: bytes
    plot: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, from the PNG's header."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


def _figure(
    width: float, height: float, columns: int = 1, paper: str = "none"
) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110, facecolor=paper)
        figure.set_layout_engine("constrained", h_pad=0.08)
        axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # no date, no version: the same numbers make the same bytes
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def error_over_depth(rows: Sequence[TopRecord]) -> Picture:
    """Caffe's and torch's distance from float64, and theirs from each other, layer by layer."""
    figure, (axes,) = _figure(8, 3.2, paper="white")
    x = np.arange(1, len(rows) + 1)
    for distances, label, mark in (
        ([row.caffe_float64 for row in rows], "Caffe from float64", "s"),
        ([row.torch_float64 for row in rows], "PyTorch from float64", "o"),
        ([row.error for row in rows], "PyTorch from Caffe", "."),
    ):
        values = [np.nan if value is None else max(value, 1e-12) for value in distances]
        axes.plot(x, values, mark, label=label, markersize=3.5, alpha=0.8)
    axes.plot(x, [row.bound for row in rows], "-", color="0.4", lw=1, label="bound")
    axes.set_yscale("log")
    axes.set_xlim(0.5, len(rows) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("number in the table, in order of execution")
    axes.set_ylabel("largest error / largest value")
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    worst = max((row.error or 0 for row in rows), default=0)
    alt = f"Errors of {len(rows)} layers on a logarithmic axis; the largest is {worst:.1e}"
    return Picture("parity", "Error over depth", alt, _png(figure), plot=True)


def mosaic(array: np.ndarray, signed: bool) -> np.ndarray:
    """C x H x W (or C x 3 x H x W) as one picture of tiles; H x W, or H x W x 3, 0..1."""
    tiles = np.nan_to_num(array[:MOST_TILES], posinf=0, neginf=0)
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    colour = tiles.ndim == 4
    height, width = tiles.shape[-2:]
    shape = (rows * (height + 1) - 1, columns * (width + 1) - 1)
    canvas = np.full((*shape, 3) if colour else shape, np.nan, np.float32)
    for number, tile in enumerate(tiles):
        low, high = float(tile.min()), float(tile.max())
        if signed:
            high = max(abs(low), abs(high))
            low = -high
        scaled = (tile - low) / (high - low) if high > low else np.full_like(tile, 0.5)
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        place = (slice(top, top + height), slice(left, left + width))
        canvas[place] = scaled.transpose(1, 2, 0) if colour else scaled
    return canvas


def _show(axes: Axes, picture: np.ndarray, title: str = "", colours: str = "gray") -> None:
    covered = ~np.isnan(picture[..., :1]) if picture.ndim == 3 else None
    shown = picture if covered is None else np.dstack([np.nan_to_num(picture), covered])
    axes.imshow(shown, cmap=colours, vmin=0, vmax=1, interpolation="auto")
    axes.set_axis_off()
    axes.set_title(title, fontsize=12.5, weight="bold", color=BETWEEN)


def filters(name: str, weight: np.ndarray, bgr: bool) -> Picture:
    """The kernels of a convolution (N x C x h x w): in colour for three channels, else the first."""
    figure, (axes,) = _figure(3.1, 3.1)
    if weight.shape[1] == 3:
        picture = mosaic(weight[:, ::-1] if bgr else weight, True)
    else:
        picture = mosaic(weight[:, 0], True)
    _show(axes, picture)
    count = min(len(weight), MOST_TILES)
    part = "" if weight.shape[1] in (1, 3) else ", first input channel"
    title = f"{name}: {count} of {len(weight)} kernels{part}"
    return Picture(f"filters-{slug(name)}", title, f"Mosaic of kernels of {name}", _png(figure))


def activations(name: str, ours: np.ndarray, caffe: np.ndarray | None) -> Picture:
    """C x H x W: PyTorch's maps, Caffe's, and the difference on its own scale."""
    sides = [("PyTorch", ours, "gray")]
    if caffe is not None:
        with np.errstate(invalid="ignore"):
            apart = np.nan_to_num(np.abs(ours - caffe))
        largest = float(apart.max(initial=0))
        sides += [
            ("Caffe", caffe, "gray"),
            (f"difference, to {largest:.1e}", apart, "magma"),
        ]
    figure, axes = _figure(SIDE * len(sides), SIDE + 0.3, len(sides))
    for place, (title, array, colours) in zip(axes, sides, strict=True):
        _show(place, mosaic(array, False), title, colours)
    alt = f"Feature maps of {name}" + (
        " by PyTorch and by Caffe, and their difference" if caffe is not None else ""
    )
    return Picture(f"activations-{slug(name)}", name, alt, _png(figure))


def histogram(name: str, ours: np.ndarray, caffe: np.ndarray | None) -> Picture:
    """How often each value stands in a layer's output."""
    strange = int((~np.isfinite(ours)).sum())
    ours = ours[np.isfinite(ours)]
    caffe = caffe[np.isfinite(caffe)] if caffe is not None else None
    figure, (axes,) = _figure(3.1, 2.4, paper="white")
    edges = np.histogram_bin_edges(
        ours if caffe is None else np.concatenate([ours.ravel(), caffe.ravel()]), 60
    )
    bins = edges.tolist()
    axes.hist(ours.ravel(), bins, alpha=0.6, label="PyTorch")
    if caffe is not None:
        axes.hist(caffe.ravel(), bins, histtype="step", color="black", label="Caffe")
    axes.set_yscale("log")
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    alt = f"Histogram of {name}"
    if ours.size:
        alt += f": {float(ours.min()):.3g} to {float(ours.max()):.3g}"
    if strange:
        alt += f"; {strange} values are NaN or infinity"
    return Picture(f"histogram-{slug(name)}", f"{name}, values", alt, _png(figure), plot=True)


def heat(name: str, maps: np.ndarray, picture: np.ndarray) -> Picture:
    """The mean of the positive part of the maps (C x h x w) over the picture (RGB 0..1, C x H x W)."""
    from PIL import Image

    strength = np.nan_to_num(maps, posinf=0, neginf=0).clip(min=0).mean(0)
    strength = strength / (strength.max() or 1)
    high, wide = picture.shape[1:]
    grown = Image.fromarray(np.uint8(strength * 255)).resize(
        (wide, high), Image.Resampling.BILINEAR
    )
    figure, (left, right) = _figure(SIDE * 2, SIDE + 0.3, 2)
    base = picture.transpose(1, 2, 0) if len(picture) == 3 else picture[0]
    _show(left, base, "picture")
    _show(right, base, "heat map")
    right.imshow(np.asarray(grown), cmap="inferno", alpha=0.55, interpolation="nearest")
    alt = f"The picture, and where {name} is strongest over it"
    return Picture("heat", f"Heat map of {name}", alt, _png(figure))


def bars(labels: Sequence[str], ours: Sequence[float], caffe: Sequence[float] | None) -> Picture:
    """The best classes and their probabilities."""
    figure, (axes,) = _figure(6, 0.5 + 0.42 * len(labels), paper="white")
    y = np.arange(len(labels))[::-1]
    axes.barh(y + (0.2 if caffe else 0), ours, 0.38 if caffe else 0.7, label="PyTorch")
    if caffe is not None:
        axes.barh(y - 0.2, caffe, 0.38, color="0.35", label="Caffe")
        axes.legend(frameon=False)
    axes.set_yticks(y, [label[:40] for label in labels], parse_math=False)
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability")
    best = f"{labels[0]} with {ours[0]:.3f}" if labels else "nothing"
    alt = f"Probabilities; the best is {best}"
    return Picture("classes", "Best classes", alt, _png(figure), plot=True)


def slug(name: str) -> str:
    """A layer's name as a file name; what does not go into one as it is gets a hash behind."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:80]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
