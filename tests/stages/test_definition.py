"""One net, worked out once: shapes that the text says, those that are given, and the weights'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.errors import BadInput, UsageError
from decant.stages.definition import Definition
from decant.stages.inputs import Inputs
from tests.helpers.converting import conv, input_layer, layer, random, write_pair

TEXT = input_layer("data", 1, 3, 8, 8) + conv("c", "data", "c")
WEIGHTS = [("c", "Convolution", [random(4, 3, 3, 3), random(4)])]


def definition(folder: Path, text: str = TEXT) -> Definition:
    write_pair(folder, text, WEIGHTS)
    return Definition(Inputs("net", None, folder / "net.prototxt", folder / "net.caffemodel"))


def test_both_files_are_read_once(tmp_path: Path) -> None:
    found = definition(tmp_path)
    net = found.written
    assert found.written is net is found.deployed({})
    assert found.weight_shapes(net) == {"c": [(4, 3, 3, 3), (4,)]}
    # what was read stays, whatever becomes of the files
    for path in tmp_path.iterdir():
        path.unlink()
    assert found.weight_shapes(net) == {"c": [(4, 3, 3, 3), (4,)]}


def test_inputs_have_the_shapes_that_are_given_and_else_the_texts(tmp_path: Path) -> None:
    found = definition(tmp_path)
    net = found.written
    assert found.input_shapes(net, {}) == {"data": (1, 3, 8, 8)}
    assert found.input_shapes(net, {"data": (1, 3, 9, 7)}) == {"data": (1, 3, 9, 7)}
    with pytest.raises(UsageError, match="--input"):
        found.input_shapes(net, {"other": (1,)})


def test_a_job_has_the_weights_and_refuses_an_input_that_they_do_not_fit(tmp_path: Path) -> None:
    end = layer(
        "fc", "InnerProduct", "c", "fc", "inner_product_param { num_output: 2 bias_term: false }"
    )
    found = definition(tmp_path, TEXT + end)
    weights = [*WEIGHTS, ("fc", "InnerProduct", [random(2, 4 * 6 * 6)])]
    write_pair(tmp_path, TEXT + end, weights)
    net = found.written
    job = found.job(net, {"data": (1, 3, 8, 8)}, ["left"])
    assert job.ignored_layers == ("left",) and job.probe == {} and job.weights is not None
    assert np.array_equal(job.blob_shapes()["fc"][0], (2, 144))
    with pytest.raises(BadInput, match="8"):
        found.job(net, {"data": (1, 3, 9, 9)}, [])
