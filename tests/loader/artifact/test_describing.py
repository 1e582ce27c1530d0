"""What manifest.json says of a conversion: the dump's own facts, whoever read it."""

from __future__ import annotations

from dataclasses import replace

from decant.dumper import dumpfile
from decant.loader.artifact.conversion import conversion_of
from decant.loader.artifact.describing import describe
from decant.loader.catalog.models import load_catalog
from tests.helpers.artifacts import REFERENCE


def test_a_model_of_the_catalog_and_a_net_of_nobodys() -> None:
    dump, model = dumpfile.read(REFERENCE), load_catalog().model("lenet_digits")
    made = conversion_of(dump, model, "x")
    known = describe("x", model, dump, made, "ab" * 32)
    assert (known.model, known.module.name) == ("lenet_digits", model.module)
    assert known.licence == model.licence and known.labels is not None
    assert known.caffe.caffemodel_sha256 == dump.caffemodel_sha256
    assert known.parameters["conv1.weight"].layer == "conv1"
    assert known.inputs[0].shape == (1, 1, 16, 16)

    other = describe("x", None, dump, made, "ab" * 32)
    assert (other.model, other.module.name, other.licence) == (None, "generated", "")
    assert other.preprocessing is None is other.labels
    # the engine and the probe do not enter
    again = replace(dump, engine="reader", probe={}, caffe_version="")
    assert describe("x", None, again, made, "ab" * 32) == other
