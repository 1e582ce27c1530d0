"""Which rule computes a layer; and how a layer is refused that none computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from decant.loader.definition.graph import Layer
from decant.loader.errors import Unsupported
from decant.loader.layers import LAYER_TYPES, PYTHON, TRAINING_PYTHON, layer_type, type_of
from decant.loader.layers.rule import Rule


def python_type(layer: Layer) -> str:
    """`Python:ProposalLayer` for a Python layer, "" for others."""
    if layer.type != "Python":
        return ""
    return f"Python:{layer.fields.message('python_param').text('layer')}"


def is_known(layer: Layer, plugins: Collection[str] = ()) -> bool:
    """Whether a rule or a plugin computes it."""
    own = {layer.type, python_type(layer)} & set(plugins)
    return bool(own) or own_rule(layer) is not None


def known_python(layer: Layer) -> Rule | None:
    """The rule of a Python layer that is known by its module and class."""
    if layer.type != "Python":
        return None
    param = layer.fields.message("python_param")
    known = PYTHON.get(f"{param.text('module')}:{param.text('layer')}")
    return known.rule if known else None


def own_rule(layer: Layer) -> Rule | None:
    """The type's rule, or that of a Python layer that is known; None where there is none."""
    return layer_type(layer.type).rule or known_python(layer)


def rule_of(layer: Layer, plugins: Mapping[str, Rule]) -> Rule | None:
    """A plugin's, for the Python class or the type, else the type's own."""
    return plugins.get(python_type(layer)) or plugins.get(layer.type) or own_rule(layer)


def refuse_unknown_types(file: str, layers: Sequence[Layer], plugins: Mapping[str, Rule]) -> None:
    """Raise Unsupported with every layer of a type that no rule and no plugin computes."""
    wrong = [
        f"line {layer.line}: layer {layer.name!r} ({layer.type}): {unsupported_type(layer)}"
        for layer in layers
        if not type_of(layer).transparent and not is_known(layer, plugins)
    ]
    if wrong:
        raise unsupported(file, wrong)


def unsupported(file: str, wrong: Sequence[str], also: Sequence[str] = ()) -> Unsupported:
    """The refusal of what cannot be converted exactly; `also`: what else the weights lack."""
    more = f"; the weights do not fit either: {also[0]}" if also else ""
    return Unsupported(
        f"{file}: cannot be converted exactly: {wrong[0]}; drop the layer, or give --layer-plugin "
        f"module:Class for it{more}",
        [*wrong, *also],
    )


def unsupported_type(layer: Layer) -> str:
    hint = layer_type(layer.type).refused
    program = ""
    if layer.type == "Python":
        param = layer.fields.message("python_param")
        program = f" (module {param.text('module')!r}, layer {param.text('layer')!r})"
        # what to do about a program is said once, for all of them
        hint = TRAINING_PYTHON.get(param.text("module"), "")
    lower = layer.type.lower()
    meant = [name for name, of in LAYER_TYPES.items() if of.rule and name.lower() == lower]
    hint = f": {hint}" if hint else f"; is it {meant[0]}?" if meant else ""
    return f"the type is not supported{program}{hint}"
