"""What Caffe does silently wrong, and what it aborts on: each is one line, a code, nothing on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines import caffe
from decant.engines.docker import container
from decant.engines.docker.connection import connect
from decant.engines.docker.image import find
from decant.engines.job import Job
from decant.loader.definition.graph import net_from_text, refuse_side_effects
from decant.loader.errors import BadInput, DecantError, EngineError, IntegrityError, Unsupported
from decant.loader.progress import SILENT
from tests.helpers import encode_caffemodel as encode

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(11)
CONV = (
    "conv",
    "Convolution",
    [RANDOM.random((2, 1, 3, 3), np.float32), RANDOM.random(2, np.float32)],
)
FC = ("fc", "InnerProduct", [RANDOM.random((3, 32), np.float32), RANDOM.random(3, np.float32)])
TEXT = """
name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 1 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 3 } }
"""
PROBE = {"data": np.random.default_rng(3).standard_normal((1, 1, 4, 4), np.float32)}


def dump(folder: Path, weights: bytes, text: str = TEXT, **more: object) -> dumpfile.Dump:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(weights)
    job = Job(folder / "net.prototxt", folder / "net.caffemodel", PROBE, **more)  # type: ignore[arg-type]
    try:
        caffe.dump(job, out / "dump.h5", SILENT)
    except DecantError:
        assert not list(out.iterdir()), "something half-written is left"
        raise
    return dumpfile.read(out / "dump.h5")


@pytest.mark.parametrize("era", ["current", "v1", "v0"])
def test_every_era_gives_the_same_bits_and_caffes_shapes(era: str, tmp_path: Path) -> None:
    found = dump(tmp_path, encode.net(era, [CONV, FC]))
    layers = {layer.name: layer for layer in found.layers}
    for name, _, blobs in (CONV, FC):
        for array, blob in zip(layers[name].params, blobs, strict=True):
            assert array.shape == blob.shape
            assert np.array_equal(array.view(np.uint32), blob.view(np.uint32))
    assert found.prototxt == TEXT
    assert "filler" not in found.prototxt_run


def test_an_in_place_relu_does_not_overwrite_the_convolution(tmp_path: Path) -> None:
    layers = {
        layer.name: layer for layer in dump(tmp_path, encode.net("current", [CONV, FC])).layers
    }
    before, after = layers["conv"].activations[0], layers["relu"].activations[0]
    assert (before < 0).any()
    assert np.array_equal(after, np.maximum(before, 0))


def test_double_data_is_rounded_as_caffe_does(tmp_path: Path) -> None:
    exact = RANDOM.random((3, 32))
    blobs = [encode.blob(exact, kind="double"), encode.blob(FC[2][1])]
    weights = encode.net("current", [CONV]) + encode.layer("current", "fc", "InnerProduct", blobs)
    found = {layer.name: layer for layer in dump(tmp_path, weights).layers}
    assert np.array_equal(found["fc"].params[0], exact.astype(np.float32))


def test_half_precision_reaches_caffe_as_float32(tmp_path: Path) -> None:
    halves = [encode.blob(array, kind="half") for array in FC[2]]
    weights = encode.net("current", [CONV]) + encode.layer("current", "fc", FC[1], halves)
    found = {layer.name: layer for layer in dump(tmp_path, weights).layers}
    for array, exact in zip(found["fc"].params, FC[2], strict=True):
        assert np.array_equal(array, exact.astype(np.float16).astype(np.float32))


def test_the_type_that_the_file_records_is_not_looked_at(tmp_path: Path) -> None:
    found = dump(tmp_path, encode.net("current", [CONV, ("fc", "Convolution", FC[2])]))
    assert np.array_equal(found.layers[-1].params[0], FC[2][0])


def test_a_shared_blob_is_stored_once_with_its_owner(tmp_path: Path) -> None:
    text = TEXT.replace('bottom: "conv" top: "fc"', 'bottom: "conv" top: "fc" param { name: "w" }')
    text += (
        'layer { name: "twin" type: "InnerProduct" bottom: "conv" top: "twin" param { name: "w" }'
        " inner_product_param { num_output: 3 } }"
    )
    twin = ("twin", "InnerProduct", [FC[2][0], RANDOM.random(3, np.float32)])
    found = dump(tmp_path, encode.net("current", [CONV, FC, twin]), text)
    at = {layer.name: index for index, layer in enumerate(found.layers)}
    assert found.layers[at["twin"]].owners == [(at["fc"], 0), None]


IP = "inner_product_param { num_output: 3 }"
GOOD = encode.net("current", [CONV, FC])
NAN = ("fc", "InnerProduct", [np.full((3, 32), np.nan, np.float32), FC[2][1]])
BAD_WEIGHTS = {
    "web page": (b"<!DOCTYPE html><html>404</html>", "a web page"),
    "xml": (b"<?xml version='1.0'?><Error/>", "an XML page"),
    "error text": (b"404: Not Found", "an error page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
    "prototxt": (b'layer {\n name: "a"\n}\n', "a prototxt"),
    "zeros": (bytes(4096), "zero bytes"),
    "pickle": (b"\x80\x04\x95" + bytes(100), "pickle"),
    "empty": (b"", "empty"),
    "cut between layers": (encode.net("current", [CONV]), "'fc'"),
    "cut inside": (GOOD[:-5], "announced"),
    "trailing zeros": (GOOD + bytes(16), "field number 0"),
    "trailing end group": (GOOD + b"\x0c\x00", "wire type 4"),
    "renamed layer": (encode.net("current", [CONV, ("fx", *FC[1:])]), "'f"),
    "extra layer": (encode.net("current", [CONV, FC, ("extra", *FC[1:])]), "'extra'"),
    "layer twice": (encode.net("current", [CONV, FC, FC]), "twice"),
    "two files in one": (GOOD + GOOD, "twice"),
    "nan": (encode.net("current", [CONV, NAN]), "NaN"),
    "both eras": (GOOD + encode.net("v1", [("x", "InnerProduct", FC[2])]), "`layers`"),
    "transposed": (
        encode.net("current", [CONV, ("fc", FC[1], [FC[2][0].T.copy(), FC[2][1]])]),
        "shape",
    ),
    "a blob short": (encode.net("current", [CONV, ("fc", FC[1], FC[2][:1])]), "blob"),
    "no weights": (encode.net("current", [("fc", "InnerProduct", [])]), "no weights"),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    weights, expected = BAD_WEIGHTS[name]
    with pytest.raises((BadInput, IntegrityError)) as caught:
        dump(tmp_path, weights)
    assert expected in str(caught.value)
    assert "\n" not in caught.value.message
    assert "net.caffemodel" in caught.value.message


def test_layers_named_as_ignored_may_be_left(tmp_path: Path) -> None:
    extra = ("loss1/fc", *FC[1:])
    dump(tmp_path, encode.net("current", [CONV, FC, extra]), ignored_layers=("loss1/*",))


LAYER = 'layer { name: "x" type: "%s" bottom: "fc" top: "x" %s }'
DATA = 'layer { name: "x" type: "%s" top: "x" %s }'
OUTPUT = 'layer { name: "x" type: "%s" bottom: "fc" %s }'
BAD_NETS = {
    "python": (LAYER % ("Python", 'python_param { module: "os" layer: "abort" }'), "Python"),
    "hdf5 output": (OUTPUT % ("HDF5Output", 'hdf5_output_param { file_name: "/x" }'), "/x"),
    "image data": (
        DATA % ("ImageData", 'image_data_param { source: "/etc/passwd" }'),
        "/etc/passwd",
    ),
    "mean file": (
        DATA % ("DummyData", 'transform_param { mean_file: "/etc/passwd" }'),
        "mean_file",
    ),
    "infogain": (LAYER % ("InfogainLoss", 'infogain_loss_param { source: "/m" }'), "source"),
}


@pytest.mark.parametrize("name", BAD_NETS)
def test_a_net_with_side_effects_is_refused_in_the_container_too(name: str, tmp_path: Path) -> None:
    text, expected = BAD_NETS[name]
    with pytest.raises(Unsupported, match="line"):
        refuse_side_effects(net_from_text(TEXT + text, "net.prototxt"))
    with pytest.raises(Unsupported) as caught:
        dump(tmp_path, GOOD, TEXT + text)
    assert expected in str(caught.value)


def test_a_v0_images_layer_is_refused(tmp_path: Path) -> None:
    inner = 'layer { name: "d" type: "images" source: "/etc/passwd" meanfile: "/m" }'
    text = f'layers {{ {inner} top: "d" top: "l" }}'
    with pytest.raises(Unsupported, match="/etc/passwd"):
        dump(tmp_path, GOOD, text)


def test_duplicate_layer_names_with_parameters_are_refused(tmp_path: Path) -> None:
    text = TEXT + 'layer { name: "fc" type: "InnerProduct" bottom: "fc" top: "g" %s }' % IP
    with pytest.raises(BadInput, match="'fc'"):
        dump(tmp_path, GOOD, text)


def test_a_forks_field_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="permute_param"):
        dump(tmp_path, GOOD, TEXT + LAYER % ("Permute", "permute_param { order: 0 }"))


def test_what_caffe_aborts_on_comes_back_as_its_own_line(tmp_path: Path) -> None:
    text = TEXT.replace("kernel_size: 3 pad: 1", "kernel_size: 9 pad: 0")
    with pytest.raises(BadInput, match="Caffe aborted"):
        dump(tmp_path, GOOD, text)


def run(image: str, command: list[str], tmp_path: Path, **more: object) -> container.Outcome:
    job = container.Run(
        image_id=image,
        command=command,
        files={"a": b"text"},
        fetch={"file": tmp_path / "file"},
        **{"memory": 1 << 30, "limit": 60, **more},  # type: ignore[arg-type]
    )
    client = connect()
    try:
        ended = container.run(client, job)
    finally:
        client.close()
    ended_line = container.judge(ended, job, "it")
    assert "\n" not in ended_line
    print(ended_line)
    return ended


def test_the_container_is_locked_down(image: str, tmp_path: Path) -> None:
    code = (
        "import os; s = open('/proc/self/status').read();"
        "print([line for line in s.splitlines() if line.split(':')[0] in"
        " ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')]);"
        "print(os.getuid(), os.listdir('/sys/class/net'));"
        "open('/io/out/file', 'w').write('x')\n"
        "try:\n open('/x', 'w')\nexcept OSError as e: print(e)"
    )
    ended = run(image, ["python3", "-I", "-B", "-c", code], tmp_path)
    assert ended.fetched == ("file",)
    assert "'CapEff:\\t0000000000000000', 'CapBnd:\\t0000000000000000'" in ended.log
    assert "'NoNewPrivs:\\t1', 'Seccomp:\\t2'" in ended.log
    assert f"{os.getuid()} ['lo']" in ended.log
    assert "Read-only file system" in ended.log


def test_endings_are_told_apart(image: str, tmp_path: Path) -> None:
    sleeper = run(image, ["sleep", "60"], tmp_path, limit=1)
    assert sleeper.status == 124
    hungry = run(image, ["python3", "-c", "x = bytearray(1 << 29)"], tmp_path, memory=64 << 20)
    assert hungry.out_of_memory
    assert run(image, ["python3", "-c", "import os; os.abort()"], tmp_path).status == 134
    assert run(image, ["python3", "-c", "raise SystemExit(3)"], tmp_path).status == 3


def test_a_link_as_output_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not one regular file"):
        run(image, ["ln", "-s", "/etc/passwd", "/io/out/file"], tmp_path)
    assert not (tmp_path / "file").exists()


def test_a_missing_result_is_an_error(image: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(TEXT)
    ended = run(image, ["true"], tmp_path)
    assert ended.status == 0
    assert not ended.fetched


def running(client: docker.DockerClient) -> set[str]:
    filters = {"label": container.LABEL}
    return {item.id for item in client.containers.list(filters=filters, ignore_removed=True)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_nothing(number: int, code: int, tmp_path: Path) -> None:
    text = TEXT.replace("dim: 4 dim: 4 }", "dim: 3000 dim: 3000 }").replace(
        "num_output: 3 }", "num_output: 1 }"
    )
    (tmp_path / "net.prototxt").write_text(text.replace('type: "InnerProduct"', 'type: "LRN"'))
    (tmp_path / "net.caffemodel").write_bytes(encode.net("current", [CONV]))
    words = [
        "dump",
        "--prototxt",
        "net.prototxt",
        "--caffemodel",
        "net.caffemodel",
        "--out",
        "d.h5",
    ]
    client = connect()
    before = running(client)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline.py"), *words, "--engine", "caffe"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not running(client) - before:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    client.close()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel", "net.prototxt"]


def test_the_image_is_found_by_what_it_was_made_of(image: str) -> None:
    client = connect()
    assert find(client) == image
    client.close()
