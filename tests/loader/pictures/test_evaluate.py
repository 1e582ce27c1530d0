"""Loss, top-1 and top-5, by hand; and processes that share the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.errors import BadInput, UsageError
from decant.loader.pictures.evaluate import Accuracy, Processes, accuracy, measure


def test_a_map_of_answers_is_no_accuracy() -> None:
    pictures = np.zeros((2, 3, 4, 4), np.float32), np.zeros(2, np.int64)
    with pytest.raises(UsageError, match="it answers 2 with 2 x 3 x 4 x 4"):
        measure(nn.Identity(), iter([pictures]), [range(0, 2)], 2)


def judged(scores: list[list[float]], labels: list[int], probabilities: bool) -> Accuracy:
    arrays = np.asarray(scores, np.float32), np.asarray(labels)
    part = range(0, len(labels))
    table = measure(nn.Identity(), iter([arrays]), [part], len(labels), probabilities=probabilities)
    return accuracy(table)


def test_loss_top1_and_top5_by_hand() -> None:
    scores = [[6.0, 5, 4, 3, 2, 1], [6.0, 5, 4, 3, 2, 1], [0.0, 0, 0, 0, 0, 9]]
    found = judged(scores, [0, 5, 5], False)
    assert (found.top1, found.top5) == (pytest.approx(200 / 3), pytest.approx(200 / 3))
    logs = torch.tensor(scores, dtype=torch.float64).log_softmax(1)
    assert found.loss == pytest.approx(-float(logs[0, 0] + logs[1, 5] + logs[2, 5]) / 3)
    assert [(item.label, item.count, item.top1) for item in found.per_class] == [
        (0, 1, 100),
        (5, 2, 50),
    ]


def test_a_probability_of_zero_costs_what_it_costs_in_caffe() -> None:
    found = judged([[1.0, 0.0]], [1], True)
    assert found.loss == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_nan_and_labels_beyond_the_net_are_refused() -> None:
    with pytest.raises(BadInput, match="NaN"):
        judged([[float("nan"), 1.0]], [0], False)
    with pytest.raises(BadInput, match="label 2: the net has 2 classes"):
        judged([[1.0, 0.0]], [2], False)


def test_processes_with_other_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Processes()
    team.agree("the pictures", "a")
    monkeypatch.setattr(team, "_exchange", lambda mine: [mine, "b"])
    with pytest.raises(BadInput, match="the pictures are not the same"):
        team.agree("the pictures", "a")


def test_an_error_of_another_process_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Processes(0, 2)
    monkeypatch.setattr(team, "_exchange", lambda mine: [mine, BadInput("there")])
    with pytest.raises(BadInput, match="there"):
        team.together(lambda: 1)
