"""The rules, applied to the layers in order; what they refuse is collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from decant.loader.definition.graph import Net
from decant.loader.definition.naming import Names
from decant.loader.definition.schema import MESSAGES
from decant.loader.layers import REFUSED_FIELDS, type_of
from decant.loader.layers.in_place import grows_in_place, never_in_place
from decant.loader.layers.normalisation import fused_batch_norm
from decant.loader.layers.rule import WIRING, Refused, Rule, Site, Written, WrongBlobs
from decant.loader.plan.rules import rule_of, unsupported_type
from decant.loader.plan.steps import Step, Value
from decant.loader.plan.wiring import Wired

_OF_CAFFE = {word.split(":")[0] for word in MESSAGES["Layer"].split()}


class Writer:
    """Applies the rules in order, and keeps what they refuse."""

    def __init__(
        self,
        net: Net,
        blobs: Sequence[Sequence[np.ndarray]],
        plugins: Mapping[str, Rule],
        wired: Sequence[Wired],
        ends: set[Value],
        site: type[Site] | None = None,
    ) -> None:
        self.net, self.blobs, self.plugins = net, blobs, plugins
        self.names = Names()
        self.wrong: list[str] = []
        # of these the weights are the fault, not the definition
        self.misfits: list[str] = []
        self.absent: dict[str, str] = {}
        # values whose shape is not known because the layer that makes them was refused
        self.unknown: set[Value] = set()
        # a Scale that is written already, with the BatchNorm before it
        self.fused: dict[Wired, Step] = {}
        self.readers: dict[Value, list[Wired]] = {}
        for item in wired:
            for value in item.inputs:
                self.readers.setdefault(value, []).append(item)
        self.ends = ends
        self.site = site or Site
        self.sites: dict[str, Site] = {}

    def step(self, item: Wired) -> list[Step]:
        """The layer's step; none for an invisible one, or where it is refused."""
        layer, of = item.layer, type_of(item.layer)
        if of.transparent:
            if layer.type != "Input":
                self.absent[item.name] = f"{layer.type}: computes nothing"
            return []
        if item in self.fused:
            return [self.fused[item]]
        rule = rule_of(layer, self.plugins)
        if rule is None:
            self._refuse(item, unsupported_type(layer))
            return []
        if self.unknown & set(item.inputs):
            self.unknown.update(item.outputs)
            return []
        # a plugin says itself what it computes
        own = rule is of.rule and layer.type != "Python"
        if own and (reason := never_in_place(layer, of)):
            self._refuse(item, reason)
            return []
        site = self._site(item)
        try:
            written = self._with_scale(item, site) or rule(site)
        except WrongBlobs as error:
            self._refuse(item, str(error), into=self.misfits)
            return []
        except (Refused, ValueError, ArithmeticError) as error:
            self._refuse(item, str(error))
            return []
        if item.name in self.absent:
            return []
        if own and grows_in_place(layer, of, site.bottoms, written.shapes):
            self._refuse(
                item, "works in place and changes the shape; give its top a name of its own"
            )
            return []
        self._account(item, site)
        return [self._finish(item, written, site)]

    def _site(self, item: Wired) -> Site:
        shapes = [value.shape for value in item.inputs]
        site = self.site(item.layer, shapes, self.blobs[item.index])
        site.reading = self.net.reading
        self.sites[item.name] = site
        return site

    def _finish(self, item: Wired, written: Written, site: Site) -> Step:
        if len(written.shapes) != len(item.outputs):
            self._refuse(item, f"makes {len(written.shapes)} tops, and has {len(item.outputs)}")
        for value, shape in zip(item.outputs, written.shapes, strict=False):
            value.shape = tuple(shape)
        attribute = self.names.new(item.name) if written.module else ""
        named = [name for name in written.tensors if name != "num_batches_tracked"]
        origin = {
            name: (item.name, written.blobs.get(name, number)) for number, name in enumerate(named)
        }
        return Step(
            item.name, item.layer.type, item.layer.line, item.inputs, item.outputs, attribute,
            written, origin,
        )  # fmt: skip

    def _with_scale(self, item: Wired, site: Site) -> Written | None:
        """A BatchNorm whose value only a Scale reads: both as one step, in the Scale's place."""
        if item.layer.type != "BatchNorm" or len(item.outputs) != 1:
            return None
        if {"BatchNorm", "Scale"} & set(self.plugins):
            return None
        readers = self.readers.get(item.outputs[0], [])
        if item.outputs[0] in self.ends or [x.layer.type for x in readers] != ["Scale"]:
            return None
        follower = readers[0]
        if follower.inputs[0] is not item.outputs[0]:
            return None
        item.outputs[0].shape = site.bottom()
        scale = self._site(follower)
        written = fused_batch_norm(site, scale)
        if written is None:
            return None
        self._account(item, site)
        self._account(follower, scale)
        follower.outputs[0].shape = site.bottom()
        origin = {"weight": (follower.name, 0), "running_mean": (item.name, 0)}
        origin["running_var"] = (item.name, 1)
        if len(self.blobs[follower.index]) > 1:
            origin["bias"] = (follower.name, 1)
        self.fused[follower] = Step(
            follower.name, "Scale", follower.layer.line, item.inputs, follower.outputs,
            self.names.new(item.name), written, origin, (item.name,),
        )  # fmt: skip
        self.absent[item.name] = f"fused with {follower.name}"
        return written

    def _account(self, item: Wired, site: Site) -> None:
        """Refuse what was written and not looked at."""
        for name in site.unread():
            self._refuse(item, f"{name} is not supported")
        if type_of(item.layer).by_phase and item.layer.fields.text("phase") in ("TRAIN", "0"):
            self._refuse(
                item, "phase: TRAIN asks Caffe for what it does in training; drop it from the layer"
            )
        for part in item.layer.fields.fields:
            known = WIRING | site.messages_asked | _OF_CAFFE
            if part.name not in known:
                hint = f": {REFUSED_FIELDS[part.name]}" if part.name in REFUSED_FIELDS else ""
                self._refuse(item, f"{part.name} is not supported{hint}", part.line)

    def _refuse(
        self, item: Wired, reason: str, line: int = 0, into: list[str] | None = None
    ) -> None:
        layer = item.layer
        self.unknown.update(item.outputs)
        found = self.wrong if into is None else into
        found.append(f"line {line or layer.line}: layer {item.name!r} ({layer.type}): {reason}")
