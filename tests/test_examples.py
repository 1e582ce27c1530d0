"""The examples, run as a reader of them would, on small nets: and what they print is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from decant.loader import activations, load
from decant.loader.definition.graph import net_from_text
from tests.helpers import definitions
from tests.helpers.random_weights import random_blobs, write_caffemodel

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def run(
    script: str, *words: str | Path, cwd: Path, code: int = 0, path: str = ""
) -> subprocess.CompletedProcess[str]:
    """`path`: comes first of what Python imports from."""
    paths = [path, str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, words)],
        cwd=cwd, text=True, capture_output=True, check=False,
        env={
            **os.environ,
            "DECANT_CACHE": str(cwd / "cache"),
            "PYTHONPATH": os.pathsep.join(item for item in paths if item),
        },
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def number(pattern: str, text: str) -> float:
    """The one number that `pattern` finds."""
    (found,) = re.findall(pattern + r" (-?\d[\d.e+-]*)", text)
    return float(found)


def save_noise(path: Path, seed: int, height: int = 90, width: int = 110) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def as_input(path: Path) -> torch.Tensor:
    """A picture as a transform takes it, 224 x 224."""
    with Image.open(path) as file:
        picture = file.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


@contextmanager
def random_files(folder: Path, definition: str) -> Iterator[list[str]]:
    """A net's two files with random weights, as options of `convert`; gone afterwards."""
    prototxt, caffemodel = folder / "net.prototxt", folder / "net.caffemodel"
    prototxt.write_text(definition)
    net = net_from_text(definition, "net")
    write_caffemodel(caffemodel, net, random_blobs(net))
    yield ["--prototxt", str(prototxt), "--caffemodel", str(caffemodel)]
    caffemodel.unlink()


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `make convert` was run."""
    folder = tmp_path_factory.mktemp("lenet")
    run("pipeline.py", "convert", "--engine", "reader", "--no-report", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact googlenet_bvlc with random weights."""
    folder = tmp_path_factory.mktemp("googlenet")
    with random_files(folder, definitions.googlenet()) as files:
        words = ["--engine", "reader", "--no-parity", "--no-report"]
        run("pipeline.py", "convert", "googlenet_bvlc", *files, *words, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact vgg_face: its layers and its fc7, but few channels, few people, random weights."""
    folder = tmp_path_factory.mktemp("faces")
    text = definitions.vgg((2, 2, 3, 3, 3), classes=20)
    thin = re.sub(
        r"num_output: (64|128|256|512) ", lambda m: f"num_output: {int(m[1]) // 16} ", text
    )
    assert thin.count("num_output: 32 ") == 6
    from decant.loader.catalog.models import load_catalog

    preprocessing = load_catalog().models["vgg_face"].preprocessing
    assert preprocessing is not None
    entry = {
        "module": "generated",
        "prototxt": {"file": "net.prototxt"},
        "caffemodel": {"file": "net.caffemodel"},
        "input": {"blob": "data", "shape": [3, 224, 224]},
        "preprocessing": preprocessing.model_dump(mode="json"),
        "licence": "none",
        "citation": "none",
    }
    catalog = folder / "catalog.yaml"
    catalog.write_text(json.dumps({"models": {"vgg_face": entry}}))
    with random_files(folder, thin) as files:
        words = ["--catalog", str(catalog), "--engine", "reader", "--no-parity", "--no-report"]
        run("pipeline.py", "convert", "vgg_face", *files, *words, cwd=folder)
    return folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_says_what_it_shows_and_how_to_run_it(name: str, tmp_path: Path) -> None:
    told = run(f"examples/{name}.py", "--help", cwd=tmp_path).stdout
    assert f"python examples/{name}.py" in told
    assert "make convert" in told
    assert f"`{name}.py`" in (ROOT / "examples/README.md").read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_its_artifact_every_example_ends_in_the_command_that_makes_it(
    name: str, tmp_path: Path
) -> None:
    if name == "feature_extraction" and find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    pictures = ["one.png", "other.png"] if name == "vgg_face_features" else []
    words = ["--model", "absent", *pictures]
    done = run(f"examples/{name}.py", *words, cwd=tmp_path, code=10)
    assert done.stderr == "error: no artifact in artifacts/absent: make convert MODEL=absent\n"


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_extracted_features_are_the_activations(googlenet: Path, tmp_path: Path) -> None:
    picture, out = save_noise(tmp_path / "picture.png", 1), tmp_path / "features.npz"
    words = ["--picture", picture, "--out", out]
    told = run("examples/feature_extraction.py", *words, cwd=googlenet).stdout
    assert "inception_4c.cat: 1 x 512 x 14 x 14" in told
    model, transform = load(googlenet / "artifacts/googlenet_bvlc")
    expected = activations(model, transform(as_input(picture)))
    layers = {
        "pool2": "pool2/3x3_s2",
        "inception_4c.cat": "inception_4c/output",
        "flatten": "pool5/7x7_s1",
    }
    with np.load(out) as features:
        assert set(features) == set(layers)
        for node, layer in layers.items():
            wanted = expected[layer]
            assert isinstance(wanted, torch.Tensor)
            found = torch.from_numpy(features[node]).reshape(wanted.shape)
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    nodes = run("examples/feature_extraction.py", "--list", cwd=googlenet).stdout.splitlines()
    assert set(layers) < set(nodes)


def test_without_torchvision_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise ModuleNotFoundError('torchvision')\n")
    words = ["--picture", "none.png"]
    done = run("examples/feature_extraction.py", *words, cwd=tmp_path, code=1, path=str(tmp_path))
    assert (
        done.stderr.splitlines()[-1]
        == "error: this example needs torchvision: pip install torchvision"
    )


def test_a_dream_excites_the_layer_more_than_the_picture_did(
    googlenet: Path, tmp_path: Path
) -> None:
    # darker and more even than noise, so that there is room to climb
    pixels = np.linspace(80, 150, 120 * 150 * 3).reshape(120, 150, 3).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    words = ["--model", "googlenet_bvlc", "--octaves", 2, "--steps", 4, "--jitter", 4]
    words += ["--picture", tmp_path / "picture.png"]
    told = run(
        "examples/deepdream.py", *map(str, words), "--out", tmp_path / "a.png", cwd=googlenet
    ).stdout
    assert number("after", told) > 1.1 * number("before", told)
    # any new contrast excites a net with random weights: the way up must do so more than the way down
    down = ["--step", "-0.01", "--out", str(tmp_path / "down.png")]
    descended = run("examples/deepdream.py", *map(str, words), *down, cwd=googlenet).stdout
    assert number("after", told) > 1.5 * number("after", descended)
    with Image.open(tmp_path / "a.png") as dream:
        dreamt = np.array(dream)
    assert dreamt.shape == pixels.shape
    assert 1 < np.abs(dreamt.astype(int) - pixels).mean() < 60
    # what it prints is what it wrote: measured here by other means
    model, transform = load(googlenet / "artifacts/googlenet_bvlc")
    found = {}
    for name, array in (("before", pixels), ("after", dreamt)):
        x = torch.from_numpy(array).permute(2, 0, 1)[None] / 255
        kept: list[torch.Tensor] = []
        block = model.get_submodule("inception_4c")
        handle = block.register_forward_hook(lambda _, __, y, kept=kept: kept.append(y))
        with torch.no_grad(), pytest.raises(RuntimeError, match="size"):
            # 120 x 150 is not what the classifier takes
            model(transform(x))
        handle.remove()
        found[name] = float(kept[0].square().mean())
    assert found["before"] == pytest.approx(number("before", told), rel=1e-4)
    # the file has whole grey levels
    assert found["after"] == pytest.approx(number("after", told), rel=0.02)
    run("examples/deepdream.py", *map(str, words), "--out", tmp_path / "b.png", cwd=googlenet)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_face_descriptors_are_fc7_and_one_with_themselves(faces: Path, tmp_path: Path) -> None:
    one, other = save_noise(tmp_path / "one.png", 1), tmp_path / "other.png"
    Image.new("RGB", (64, 80), (200, 120, 90)).save(other)
    same = run("examples/vgg_face_features.py", one, one, cwd=faces).stdout
    assert number("cosine similarity", same) == pytest.approx(1, abs=1e-5)
    out = tmp_path / "descriptors.npz"
    told = run("examples/vgg_face_features.py", one, other, "--out", out, cwd=faces).stdout
    assert "one.png: 4096 numbers" in told
    with np.load(out) as file:
        descriptors = torch.from_numpy(file["descriptors"])
    assert descriptors.shape == (2, 4096)
    model, transform = load(faces / "artifacts/vgg_face")
    expected = activations(model, transform(torch.cat([as_input(one), as_input(other)])))["fc7"]
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(descriptors, expected, rtol=1e-4, atol=1e-4)
    cosine = float(torch.nn.functional.cosine_similarity(*expected, dim=0))
    assert cosine < 0.999
    assert number("cosine similarity", told) == pytest.approx(cosine, abs=1e-4)


def test_a_new_head_learns_and_the_rest_stays(lenet: Path, tmp_path: Path) -> None:
    words = ["--epochs", "4", "--out"]
    told = run("examples/finetune_head.py", *words, tmp_path / "a.safetensors", cwd=lenet).stdout
    before = number("before: accuracy", told)
    losses = [float(text) for text in re.findall(r"loss ([\d.]+)", told)]
    rates = [float(text) for text in re.findall(r"loss [\d.]+, accuracy ([\d.]+)", told)]
    assert len(losses) == len(rates) == 4
    assert losses[-1] < losses[0]
    assert before < 0.5
    assert rates[-1] > 0.8
    old = load_file(lenet / "artifacts/lenet_digits/model.safetensors")
    new = load_file(tmp_path / "a.safetensors")
    assert set(new) == set(old)
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    assert changed == {"ip2.weight", "ip2.bias"}
    again = run("examples/finetune_head.py", *words, tmp_path / "b.safetensors", cwd=lenet).stdout
    assert again.splitlines()[:-1] == told.splitlines()[:-1]


def test_finetuning_takes_folders_of_other_classes(lenet: Path, tmp_path: Path) -> None:
    """Two classes, dark and light, in a net of ten."""
    for label, name in enumerate(("dark", "light")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for at in range(8):
            level = 200 * label + 5 * at
            Image.new("L", (20, 30), level).save(folder / f"{at}.png")
    words = ["--pictures", tmp_path / "pictures", "--out", tmp_path / "two.safetensors"]
    told = run("examples/finetune_head.py", *words, cwd=lenet).stdout
    assert float(told.split("before: accuracy ")[1].split()[0]) < 1
    assert "new head: ip2, 64 -> 2" in told
    assert "12 pictures to learn from, 4 held out" in told
    assert told.splitlines()[-2].endswith("accuracy 1.0000")


ONNX = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]


@pytest.mark.skipif(bool(ONNX), reason=f"not installed: {', '.join(ONNX)}")
def test_the_exported_file_is_the_net_for_any_batch(lenet: Path, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    out = tmp_path / "net.onnx"
    told = run("examples/onnx_export.py", "--out", out, cwd=lenet).stdout
    assert told.splitlines()[-1] == f"written: {out}"
    onnx.checker.check_model(str(out), full_check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    model, transform = load(lenet / "artifacts/lenet_digits")
    for batch in (1, 3, 8):
        x = torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(batch))
        (found,) = session.run(None, {"pictures": x.numpy()})
        with torch.no_grad():
            expected = model(transform(x))
        bound = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=bound)
    done = run("examples/onnx_export.py", "--tolerance", "0", "--out", out, cwd=lenet, code=1)
    assert done.stderr.splitlines()[-1] == "error: more than 0"
