"""Which engine is taken, and that the reason says why."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from decant.engines.choose import choose
from decant.engines.docker import connection
from decant.loader.errors import Unsupported
from tests.helpers.choosing import FORK, net, no_engine


def test_the_reader_is_taken_when_asked_for_even_for_a_fork() -> None:
    assert choose("reader", net()).engine.name == choose("reader", FORK).engine.name == "reader"


def test_caffe_asked_for_a_forks_net_is_refused_with_the_layer() -> None:
    with pytest.raises(Unsupported) as caught:
        choose("caffe", FORK)
    assert any("'p'" in line and "Permute" in line for line in caught.value.details)
    assert "--engine reader" in caught.value.message


def test_auto_reads_a_forks_net_and_names_the_layer() -> None:
    choice = choose("auto", FORK)
    assert choice.engine.name == "reader"
    assert "Permute" in choice.reason


def test_auto_takes_caffe_when_an_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect", lambda: SimpleNamespace(close=lambda: None))
    assert choose("auto", net()).engine.name == "caffe"


def test_auto_takes_the_reader_without_an_engine_and_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "connect", no_engine)
    choice = choose("auto", net())
    assert choice.engine.name == "reader"
    assert "no Docker engine answers" in choice.reason
    assert "no activations" in choice.reason


def test_autos_reason_names_the_whole_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect", no_engine)
    assert "unix:///var/run/docker.sock" in choose("auto", net()).reason


@pytest.mark.parametrize(
    "layer",
    [
        'layer { name: "x" type: "Clip" bottom: "data" top: "x" clip_param { min: 0 max: 1 } }',
        'layer { name: "x" type: "Swish" bottom: "data" top: "x" }',
        'layer { name: "x" type: "Pooling" bottom: "data" top: "x"'
        " pooling_param { kernel_size: 2 round_mode: FLOOR } }",
    ],
)
def test_what_the_images_caffe_has_is_run_by_it(layer: str) -> None:
    assert choose("caffe", net(layer)).engine.name == "caffe"
