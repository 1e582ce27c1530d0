"""`classify`: pictures, with the net's best classes, and real Caffe's beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.commands.run import emit
from decant.commands.tables import show
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.stages.classify import Answer


def command(
    *,
    model: str,
    pictures: list[Path],
    oversample: bool,
    mean: str | None,
    labels: Path | None,
    options: Options,
    as_json: bool,
) -> None:
    """Print the five best classes of each picture."""
    from decant.stages.classify import classify

    answers = classify(model, pictures, options, oversample=oversample, mean=mean, labels=labels)
    if as_json:
        emit({"ok": True, "pictures": [_plain(answer) for answer in answers]})
        return
    for answer in answers:
        with_caffe = answer.caffe_best is not None
        columns = ["", "class", "PyTorch"] + (["Caffe"] if with_caffe else [])
        rows = [
            [str(at), best.label, f"{best.probability:.4f}"]
            + ([f"{best.caffe:.4f}"] if best.caffe is not None else [])
            for at, best in enumerate(answer.top, 1)
        ]
        show(str(answer.picture), columns, rows)
        if with_caffe:
            same = "the same" if answer.caffe_best == answer.top[0].label else "another"
            print(f"real Caffe's best is {same}: {answer.caffe_best}")


def _plain(answer: Answer) -> dict[str, Any]:
    top = [
        {"class": best.number, "label": best.label, "probability": best.probability}
        | ({} if best.caffe is None else {"caffe": best.caffe})
        for best in answer.top
    ]
    caffe = {} if answer.caffe_best is None else {"caffe_top": answer.caffe_best}
    return {"picture": str(answer.picture), "top": top, **caffe}
