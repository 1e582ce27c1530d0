"""After Caffe: the host reads the caffemodel itself, and every bit must agree with the dump.

Outputs prove the structure of a net; only this proves its weights, and it is the only check that
does not trust the container.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from decant.dumper.dumpfile import Dump
from decant.loader.errors import BadInput, IntegrityError
from decant.loader.weights.caffemodel import Caffemodel, shown


def check_names(
    model: Caffemodel,
    with_blobs: Iterable[str],
    ignored: Sequence[str],
    left_out: Collection[str] = (),
) -> list[str]:
    """What Caffe passes over in silence: layers of the file that the net lacks.

    `with_blobs`: the net's layers that have parameters. `left_out`: layers that the definition has, and
    the net lacks on purpose. Returns every discrepancy, [] if none.
    """
    holders = set(with_blobs)
    wrong: list[str] = []
    for layer in model.layers:
        if not layer.blobs or any(fnmatchcase(layer.name, pattern) for pattern in ignored):
            continue
        if layer.name in left_out:
            continue
        if layer.name not in holders:
            near = get_close_matches(layer.name, sorted(holders), 1) if len(wrong) < 20 else []
            hint = f"; is it {near[0]!r}?" if near else ""
            wrong.append(
                f"layer {shown(layer.name)} of the caffemodel has no place in the net{hint}"
            )
    return wrong


def refuse(path: object, wrong: Sequence[str], strangers: Sequence[str]) -> None:
    """Raise BadInput with all of them; `strangers`: layers of the file, which may be left out."""
    found = [*wrong, *strangers]
    leave = ", or name what may be left out: --ignore-layer NAME (ignored_layers in a catalog)"
    if found:
        raise BadInput(
            f"{path}: does not fit the net: {found[0]}; give the prototxt it was trained with"
            + (leave if strangers else ""),
            found,
        )


def crosscheck(
    dump: Dump,
    model: Caffemodel,
    ignored: Sequence[str],
    left_out: Collection[str] = (),
    made: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> None:
    """Names and all bits. `made`: by layer, what its fillers are to have made of what the file lacks.

    Raises BadInput (names) or IntegrityError (bits).
    """
    holders = [layer.name for layer in dump.layers if layer.params]
    refuse(model.path, [], check_names(model, holders, ignored, left_out))
    sources = model.by_name()
    # the file may have a shared blob with any of those that share it
    shared = {owner for layer in dump.layers for owner in layer.owners if owner is not None}
    wrong = []
    for at, layer in enumerate(dump.layers):
        filled = (made or {}).get(layer.name, ())
        for number, (array, owner) in enumerate(zip(layer.params, layer.owners, strict=True)):
            source = sources.get(layer.name)
            blob = source.blobs[number] if source and number < len(source.blobs) else None
            place = f"layer {layer.name!r}, blob {number}"
            if blob is not None:
                if not same_bits(array, blob.array()):
                    wrong.append(f"{place}: other bits than the caffemodel")
            elif number < len(filled):
                if not same_bits(array, filled[number]):
                    wrong.append(f"{place}: other bits than its filler makes here")
            elif owner is None and (at, number) not in shared:
                wrong.append(f"{place}: not in the caffemodel")
    if wrong:
        raise IntegrityError(
            f"{model.path}: the dump differs from the caffemodel ({wrong[0]}); dump it again", wrong
        )


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal float32 bits, shapes aside, in pieces."""
    left, right = one.reshape(-1), other.reshape(-1)
    if left.size != right.size:
        return False
    step = 1 << 20
    return all(
        np.array_equal(
            left[start : start + step].view(np.uint32), right[start : start + step].view(np.uint32)
        )
        for start in range(0, left.size, step)
    )
