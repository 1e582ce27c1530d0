"""The rules, applied in order: nothing that a definition says is passed over."""

from __future__ import annotations

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import conversion_of


def test_every_parameter_of_caffe_is_looked_at(golden: dict[str, Dump]) -> None:
    """By some rule, in some net: a field that nobody asks for would be refused, not honoured."""
    from unittest.mock import patch

    from decant.loader.definition.schema import MESSAGES
    from decant.loader.layers.rule import NO_EFFECT, Site
    from decant.loader.plan import writer

    asked: dict[str, set[str]] = {}

    class Listening(Site):
        def unread(self) -> list[str]:
            for name, params in self._params.items():
                asked.setdefault(name, set()).update(params.asked)
            return super().unread()

    with patch.object(writer, "Site", Listening):
        for name, dump in golden.items():
            conversion_of(dump, None, name)
    fields = dict(word.split(":") for word in MESSAGES["Layer"].split() if ":" in word)
    training = {"accuracy", "contrastive_loss", "hinge_loss", "infogain_loss", "loss", "data", "image_data",
                "hdf5_data", "hdf5_output", "memory_data", "dummy_data", "window_data", "transform", "python",
                "input"}  # fmt: skip
    missing = {
        f"{field}.{name.split(':')[0]}"
        for field, message in fields.items()
        if field.endswith("_param") and field.removesuffix("_param") not in training
        for name in MESSAGES[message].split()
        if name.split(":")[0] not in asked.get(field, set()) | NO_EFFECT
    }
    assert missing == set()
