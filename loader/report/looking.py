"""What there is to see of a converted net: kernels, activations, and what it makes of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from decant.dumper.dumpfile import Dump
from decant.loader.artifact import bundle
from decant.loader.artifact.manifest import Manifest
from decant.loader.artifact.records import ParityRecord
from decant.loader.definition.naming import unique
from decant.loader.layers import layer_type
from decant.loader.layers.layer_type import Weight
from decant.loader.plan.batch import filled
from decant.loader.report import figures
from decant.loader.report.figures import Picture
from decant.loader.report.page import Section, render

# the first convolutions: kernels further in have no picture that a person reads
MOST_FILTERS = 3


@dataclass
class ClassifiedPicture:
    """A picture: RGB or grey (C x H x W, 0..1) and as the net gets it (1 x C x h x w); its best
    classes with their probabilities, and Caffe's of the same classes where it was asked; or, in
    `note`, why there are none.
    """

    name: str
    picture: np.ndarray
    prepared: np.ndarray
    labels: Sequence[str] = ()
    ours: Sequence[float] = ()
    caffe: Sequence[float] | None = None
    note: str = ""


@dataclass
class Report:
    """`html` is the whole page; `pictures` are those in it."""

    html: str
    pictures: list[Picture] = field(default_factory=list)


def make(folder: Path, net: nn.Module, seen: ClassifiedPicture | None, dump: Dump | None) -> Report:
    """The report of an artifact: `net` is its module, `dump` has Caffe's activations of it.

    Raises ArtifactMissing or IntegrityError as reading one does.
    """
    manifest = bundle.read_manifest(folder)
    manifest.require("net")
    build = bundle.read_build(folder)
    parity = bundle.read_parity(folder) or ParityRecord(
        status="not measured", reason="parity.json is missing"
    )
    sections = []
    if parity.layers:
        plot = figures.error_over_depth(parity.layers)
        sections.append(Section("Error over depth", [plot]))
    sections += _sections(folder, net, manifest, seen, dump)
    pictures = [picture for section in sections for picture in section.pictures]
    return Report(render(manifest, build, parity, sections), pictures)


def _sections(
    folder: Path,
    net: nn.Module,
    manifest: Manifest,
    seen: ClassifiedPicture | None,
    dump: Dump | None,
) -> list[Section]:
    names = [layer.name for layer in manifest.net if _has_kernels(layer.type)]
    sections = []
    on_picture = None
    if seen is not None:
        on_picture = _activations(net, [filled(seen.prepared, manifest.batch)])
        sections.append(_sight(seen, names, on_picture))
    sections.append(_filters(folder, manifest, names))
    sections.append(_maps(net, manifest, names, dump, on_picture))
    return [section for section in sections if section.pictures]


def _has_kernels(kind: str) -> bool:
    """Whether it is a convolution, of pictures."""
    return layer_type(kind).weight is Weight.KERNEL and not kind.endswith("3D")


def _sight(
    seen: ClassifiedPicture, names: Sequence[str], ours: Mapping[str, np.ndarray]
) -> Section:
    """The best classes, and where the last convolution whose output is still a map is strong."""
    note = f"The picture: {seen.name}" + (f" ({seen.note})" if seen.note else "")
    section = Section("What it sees", note=note)
    if seen.labels:
        section.pictures.append(figures.bars(seen.labels, seen.ours, seen.caffe))
    maps = [name for name in names if name in ours and min(ours[name].shape[2:], default=1) > 1]
    if maps:
        section.pictures.append(figures.heat(maps[-1], ours[maps[-1]][0], seen.picture))
    return section


def _filters(folder: Path, manifest: Manifest, names: Sequence[str]) -> Section:
    """Kernels of the first convolutions, in RGB where the net's own order is BGR."""
    from safetensors import safe_open

    recipe = manifest.preprocessing
    bgr = recipe is not None and recipe.channel_order == "BGR"
    keys = {
        source.layer: key
        for key, source in sorted(
            manifest.parameters.items(), key=lambda item: item[0], reverse=True
        )
        if source.blob == 0
    }
    section = Section("Kernels", note="The first convolutions; grey is zero.")
    with safe_open(folder / "model.safetensors", "numpy") as file:
        for name in [name for name in names if name in keys][:MOST_FILTERS]:
            weight = file.get_tensor(keys[name])
            if weight.ndim == 4 and min(weight.shape[2:]) > 1:
                section.pictures.append(figures.filters(name, weight, bgr))
    return section


def _maps(
    net: nn.Module,
    manifest: Manifest,
    names: Sequence[str],
    dump: Dump | None,
    on_picture: Mapping[str, np.ndarray] | None,
) -> Section:
    """The first, the middle and the last convolution, beside Caffe's where the dump has it."""
    caffe = {}
    if dump is not None:
        inputs = [np.array(dump.probe[item.blob]) for item in manifest.inputs]
        unnamed = unique(layer.name for layer in dump.layers)
        caffe = {
            name: np.asarray(layer.activations[0])
            for name, layer in zip(unnamed, dump.layers, strict=True)
            if layer.activations
        }
        ours = _activations(net, inputs)
        about = "On the seeded probe that the conversion was measured with."
    elif on_picture is not None:
        ours = on_picture
        about = "On the picture; Caffe's own are not at hand."
    else:
        return Section("Activations")
    shown = [name for name in names if name in ours and ours[name].ndim == 4]
    section = Section("Activations", note=about)
    for name in dict.fromkeys([shown[0], shown[len(shown) // 2], shown[-1]] if shown else []):
        theirs = caffe[name][0] if name in caffe else None
        section.pictures.append(figures.activations(name, ours[name][0], theirs))
        section.pictures.append(figures.histogram(name, ours[name][0], theirs))
    return section


def _activations(net: nn.Module, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
    """The first top of every layer."""
    from decant.loader.artifact.recording import activations

    found = activations(net, [torch.from_numpy(np.array(array)) for array in inputs])
    firsts = {name: top[0] if isinstance(top, list) else top for name, top in found.items()}
    return {name: top.numpy() for name, top in firsts.items()}
