"""Mistakes planted into right conversions: what parity must find, kind by kind.

A kind changes the definition that the module is made from, the weights, or the module's source; what
Caffe computed stays. Each says which layer is guilty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.definition.graph import Layer, net_from_text
from decant.loader.definition.prototxt import Field, Message, to_text
from decant.loader.errors import DecantError

Random = np.random.Generator
Layers = list[Message]


@dataclass
class Planted:
    """`layers`: the first that computes something else than Caffe is one of them."""

    kind: str
    layers: tuple[str, ...]
    conversion: Conversion

    def __str__(self) -> str:
        return f"{self.kind} at {' or '.join(self.layers)}"


def planted(dump: Dump, seed: int, per_kind: int = 1) -> Iterator[Planted]:
    """Up to `per_kind` mistakes of every kind that has a place in this net."""
    random = np.random.default_rng(seed)
    for kind, plant in (*DEFINITION.items(), *WEIGHTS.items(), *SOURCE.items()):
        found: set[tuple[str, ...]] = set()
        for _ in range(3 * per_kind):
            if len(found) == per_kind:
                break
            made = plant(dump, random)
            if made is None:
                continue
            # a BatchNorm is compared at its Scale
            fused = made[1].fused
            layers = tuple(fused.get(layer, layer) for layer in made[0])
            if layers not in found:
                found.add(layers)
                yield Planted(kind, layers, made[1])


Found = tuple[tuple[str, ...], Conversion]
Plant = Callable[[Dump, Random], Found | None]


# definitions -----------------------------------------------------------------------------------


def _changed(change: Callable[[Layers, Random], str]) -> Plant:
    """The module of a changed definition; `change` returns the guilty layer, "" where it has no place."""

    def plant(dump: Dump, random: Random) -> Found | None:
        net = net_from_text(dump.prototxt, "net")
        layers = [Message(list(layer.fields.fields), layer.line) for layer in net.layers]
        guilty = change(layers, random)
        if not guilty:
            return None
        try:
            other = replace(dump, prototxt=to_text(net.name, layers))
            return (guilty,), conversion_of(other, None, "net")
        except DecantError:
            return None  # other shapes: no module comes into being

    return plant


def _of(
    layers: Layers, random: Random, *kinds: str, where: Callable[[Message], bool] = bool
) -> Message | None:
    found = [layer for layer in layers if layer.text("type") in kinds and where(layer)]
    return found[random.integers(len(found))] if found else None


def _put(layer: Message, name: str, value: str | Message, quoted: bool = False) -> None:
    at = next((i for i, item in enumerate(layer.fields) if item.name == name), len(layer.fields))
    layer.fields = [item for item in layer.fields if item.name != name]
    layer.fields.insert(at, Field(name, value, 1, quoted))
    layer.__dict__.pop("_by_name", None)


def _set(layer: Message, message: str, **values: str) -> str:
    """Other parameters; the layer's name."""
    param = Message(list(layer.message(message).fields))
    for name, value in values.items():
        _put(param, name, value)
    _put(layer, message, param)
    return layer.text("name")


def _parameter(
    message: str, types: tuple[str, ...], where: Callable[[Message], bool] = bool, **values: str
) -> Plant:
    def change(layers: Layers, random: Random) -> str:
        layer = _of(layers, random, *types, where=lambda x: where(x) and any(
            x.message(message).text(name) != value for name, value in values.items()))  # fmt: skip
        return _set(layer, message, **values) if layer else ""

    return _changed(change)


def _becomes(old: str, new: str, where: Callable[[Message], bool] = bool) -> Plant:
    def change(layers: Layers, random: Random) -> str:
        layer = _of(layers, random, old, where=where)
        if layer is None:
            return ""
        _put(layer, "type", new, quoted=True)
        layer.fields = [item for item in layer.fields if not item.name.endswith("_param")]
        layer.__dict__.pop("_by_name", None)
        return layer.text("name")

    return _changed(change)


def _swapped(field: str, *kinds: str) -> Plant:
    """Two bottoms or tops of a layer exchanged."""

    def change(layers: Layers, random: Random) -> str:
        layer = _of(layers, random, *kinds, where=lambda x: len(set(x.texts(field))) > 1)
        if layer is None:
            return ""
        names = layer.texts(field)
        names[0], names[1] = names[1], names[0]
        layer.fields = [item for item in layer.fields if item.name != field]
        layer.fields += [Field(field, name, 1, True) for name in names]
        layer.__dict__.pop("_by_name", None)
        if field == "bottom":
            return layer.text("name")
        # the tops hold what they held, under each other's names; an Eltwise of both does not mind
        readers = [x for x in layers if set(names[:2]) & set(x.texts("bottom"))]
        return readers[0].text("name") if readers and readers[0].text("type") != "Eltwise" else ""

    return _changed(change)


def _bypass(layers: Layers, random: Random) -> str:
    """A layer that reads what an in-place ReLU was given, not what it made."""
    places = [
        (at, layer) for at, layer in enumerate(layers)
        if layer.text("type") in ("ReLU", "PReLU") and layer.texts("bottom") == layer.texts("top")
    ]  # fmt: skip
    random.shuffle(places)  # type: ignore[arg-type]
    for at, relu in places:
        blob = relu.text("top")
        readers = [layer for layer in layers[at + 1 :] if blob in layer.texts("bottom")]
        if not readers:
            continue
        # the ReLU gets a top of its own, which all but one read
        other = f"{blob}_apart"
        _put(relu, "top", other, quoted=True)
        guilty = readers[0]
        for layer in readers[1:]:
            layer.fields = [
                Field(x.name, other, x.line, True) if x.name in ("bottom", "top") and x.value == blob else x
                for x in layer.fields
            ]  # fmt: skip
        return guilty.text("name")
    return ""


def _other_source(layers: Layers, random: Random) -> str:
    """A layer wired to another blob of the net, made before it."""
    tops = [layer.text("top") for layer in layers]
    for _ in range(20 if len(layers) > 2 else 0):
        at = int(random.integers(2, len(layers)))
        layer = layers[at]
        before = [top for top in dict.fromkeys(tops[:at]) if top not in layer.texts("bottom")]
        if layer.texts("bottom") == layer.texts("top") or not before or not layer.has("bottom"):
            continue
        _put(
            layer,
            "bottom",
            before[random.integers(max(0, len(before) - 4), len(before))],
            quoted=True,
        )
        return layer.text("name")
    return ""


def _pool(kind: str) -> Callable[[Message], bool]:
    def where(layer: Message) -> bool:
        param = layer.message("pooling_param")
        return param.text("pool", "MAX") == kind

    return where


def _sized(layer: Message) -> bool:
    """A pooling over more than one value."""
    return layer.message("pooling_param").integer("kernel_size", 2) > 1


DEFINITION: dict[str, Plant] = {
    "maxima for means": _parameter("pooling_param", ("Pooling",), lambda x: _pool("AVE")(x) and _sized(x), pool="MAX"),
    "means for maxima": _parameter("pooling_param", ("Pooling",), lambda x: _pool("MAX")(x) and _sized(x), pool="AVE"),
    "no ReLU": _becomes("ReLU", "Power"),
    "a leaky ReLU": _parameter("relu_param", ("ReLU",), negative_slope="0.01"),
    "eps of BatchNorm": _parameter("batch_norm_param", ("BatchNorm",), eps="0.001"),
    "alpha of LRN": _parameter("lrn_param", ("LRN",), alpha="0.0005"),
    "beta of LRN": _parameter("lrn_param", ("LRN",), beta="0.5"),
    "k of LRN": _parameter("lrn_param", ("LRN",), k="2"),
    "size of LRN": _parameter("lrn_param", ("LRN",), local_size="3"),
    "region of LRN": _parameter("lrn_param", ("LRN",), norm_region="WITHIN_CHANNEL"),
    "axis of Softmax": _parameter("softmax_param", ("Softmax",), axis="0"),
    "maximum for a sum": _parameter("eltwise_param", ("Eltwise",), operation="MAX"),
    "product for a sum": _parameter("eltwise_param", ("Eltwise",), operation="PROD"),
    "order of a Concat": _swapped("bottom", "Concat"),
    "order of a Slice": _swapped("top", "Slice"),
    "Sigmoid for TanH": _becomes("TanH", "Sigmoid"),
    "TanH for Sigmoid": _becomes("Sigmoid", "TanH"),
    "a layer past its ReLU": _changed(_bypass),
    "another source": _changed(_other_source),
    "dilation": _parameter("convolution_param", ("Convolution",),
        lambda x: x.message("convolution_param").text("kernel_size") == "3" and x.message("convolution_param").text("pad") == "1"
        and x.message("convolution_param").text("stride", "1") == "1", dilation="2", pad="2"),
    "alpha of ELU": _parameter("elu_param", ("ELU",), alpha="1.05"),
    "offset of Crop": _parameter("crop_param", ("Crop",), offset="0"),
}  # fmt: skip


# weights ---------------------------------------------------------------------------------------


def _tensor(
    change: Callable[[str, np.ndarray, Layer, Random], np.ndarray | None],
    *kinds: str,
    name: str = "weight",
) -> Plant:
    """One tensor of a layer of these types changed; None where the change would do nothing."""

    def plant(dump: Dump, random: Random) -> Found | None:
        net = net_from_text(dump.prototxt, "net")
        layers = {layer.name: layer for layer in net.layers}
        made = conversion_of(dump, None, "net")
        keys = [key for key, (layer, _) in made.origin.items()
                if key.rpartition(".")[2] == name and layers[layer].type in kinds]  # fmt: skip
        random.shuffle(keys)
        for key in keys:
            guilty = made.origin[key][0]
            array = np.array(made.tensors[key])
            found = change(key, array, layers[guilty], random)
            if found is not None and not np.array_equal(found, made.tensors[key]):
                made.tensors[key] = np.ascontiguousarray(found)
                return (guilty,), made
        return None

    return plant


def _flipped(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    return array[..., ::-1, ::-1] if array.ndim == 4 and array.shape[-1] > 1 else None


def _transposed(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    square = array.ndim == 4 and array.shape[-1] == array.shape[-2] > 1
    return array.swapaxes(-1, -2) if square else None


def _zero(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    return np.zeros_like(array)


def _half(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    return array.astype(np.float16).astype(np.float32)


def _colours(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    return array[:, ::-1] if array.ndim == 4 and array.shape[1] == 3 else None


def _groups(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    group = layer.fields.message("convolution_param").integer("group", 1)
    if group < 2:
        return None
    parts = np.split(array, group)
    return np.concatenate([*parts[1:], parts[0]])


def _spatial_last(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray | None:
    """Columns in the order of a flattened H x W x C."""
    outputs, inputs = array.shape
    side = next((s for s in (7, 6, 5, 4, 3, 2) if inputs % (s * s) == 0 and inputs > s * s), 0)
    if not side:
        return None
    return array.reshape(outputs, -1, side * side).swapaxes(1, 2).reshape(outputs, inputs)


def _one_channel(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray:
    array[random.integers(len(array))] *= np.float32(1.01)
    return array


def _gates(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray:
    i, f, o, g = np.split(array, 4)
    return np.concatenate([i, f, g, o])


def _shared(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray:
    return np.full_like(array, array.mean())


def _unscaled(_: str, array: np.ndarray, layer: Layer, random: Random) -> np.ndarray:
    return array * np.float32(999.98)


def _exchanged(dump: Dump, random: Random) -> Found | None:
    """Two layers' weights of one shape."""
    made = conversion_of(dump, None, "net")
    keys = [key for key in made.origin if key.endswith("weight") and made.tensors[key].ndim > 1]
    random.shuffle(keys)
    for at, key in enumerate(keys):
        for other in keys[at + 1 :]:
            if made.tensors[key].shape == made.tensors[other].shape:
                made.tensors[key], made.tensors[other] = made.tensors[other], made.tensors[key]
                return (made.origin[key][0], made.origin[other][0]), made
    return None


def _statistics(dump: Dump, random: Random) -> Found | None:
    """Mean and variance of a BatchNorm exchanged."""
    made = conversion_of(dump, None, "net")
    keys = [key for key in made.origin if key.endswith("running_mean")]
    if not keys:
        return None
    key = keys[random.integers(len(keys))]
    other = key.replace("running_mean", "running_var")
    made.tensors[key], made.tensors[other] = made.tensors[other], np.abs(made.tensors[key])
    return (made.origin[key][0],), made


WEIGHTS: dict[str, Plant] = {
    "a kernel turned round": _tensor(_flipped, "Convolution", "Deconvolution"),
    "a kernel on its side": _tensor(_transposed, "Convolution", "Deconvolution"),
    "no bias": _tensor(_zero, "Convolution", "InnerProduct", "Deconvolution", "Scale", name="bias"),
    "half precision": _tensor(_half, "Convolution", "InnerProduct"),
    "red for blue": _tensor(_colours, "Convolution"),
    "order of groups": _tensor(_groups, "Convolution"),
    "columns by colour": _tensor(_spatial_last, "InnerProduct"),
    "one channel by 1 %": _tensor(_one_channel, "Convolution", "InnerProduct", "Scale"),
    "order of gates": _tensor(_gates, "LSTM", name="weight_h"),
    "one slope for all": _tensor(_shared, "PReLU"),
    "no factor on the mean": _tensor(_unscaled, "BatchNorm", name="running_mean"),
    "weights exchanged": _exchanged,
    "statistics exchanged": _statistics,
}


# sources ---------------------------------------------------------------------------------------


def _edited(pattern: str, text: str) -> Plant:
    """One place of model.py replaced; the layer is found by its statement, or by its module."""

    def plant(dump: Dump, random: Random) -> Found | None:
        made = conversion_of(dump, None, "net")
        places = list(re.finditer(pattern, made.source))
        if not places:
            return None
        place = places[random.integers(len(places))]
        guilty = _written_at(made, made.source.count("\n", 0, place.start()) + 1)
        made.source = made.source[: place.start()] + place.expand(text) + made.source[place.end() :]
        return guilty, made

    return plant


def _written_at(made: Conversion, line: int) -> tuple[str, ...]:
    """The layers whose module or statement stands in this line of model.py; of a block, several."""
    module = re.search(r"self\.(\w+) = nn\.", made.source.split("\n")[line - 1])
    if module:
        named = [x for x, path in made.layers.items() if path and path.split(".")[-1] == module[1]]
        return tuple(named)
    return tuple(
        layer
        for layer, places in made.statements.items()
        if any(int(place.rpartition("@")[2]) == line for place in places)
    )


def _outputs(dump: Dump, random: Random) -> Found | None:
    """What the module returns under two names exchanged."""
    made = conversion_of(dump, None, "net")
    found = re.search(r'\("([^"]+)", (\w+)\),\s*\("([^"]+)", (\w+)\)', made.source)
    if found is None:
        return None
    a, x, b, y = found.groups()
    text = found[0].replace(f'"{a}", {x}', f'"{a}", {y}').replace(f'"{b}", {y}', f'"{b}", {x}')
    made.source = made.source.replace(found[0], text)
    return tuple(out["layer"] for out in made.outputs if out["blob"] in (a, b)), made


SOURCE: dict[str, Plant] = {
    "divisor of padded means": _edited(r"(nn\.AvgPool2d\([^)]*padding=[^)]*)\)", r"\1, count_include_pad=False)"),
    "outputs exchanged": _outputs,
    "dropout scales": _edited(r"= self\.(drop\w*)\((\w+)\)", r"= self.\1(\2) * 0.5"),
    "half a residual": _edited(r"= (\w+) \+ (\w+)\n", r"= \1 + \2 * 0.5\n"),
}  # fmt: skip
