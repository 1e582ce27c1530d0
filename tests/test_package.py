"""The wheel, installed in an environment of its own and used from a folder that is not the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import decant

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "artifacts", "build", "tests", "*.egg-info", "__pycache__")
REACHED = ("No matching distribution", "Could not find a version", "connection", "Connection")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and what it depends on from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("package")
    # setuptools leaves a folder build/ whose old files would come along the next time
    source = shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=LEFT_OUT)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
        capture_output=True, text=True, check=False, env=_environment(),
    )  # fmt: skip
    if built.returncode and any(word in built.stderr for word in REACHED):
        if os.environ.get("DECANT_REQUIRE_CONTAINER"):
            pytest.fail(f"no package index: {built.stderr}")
        pytest.skip(
            "no package index is reachable, and the wheel is built by what comes from there"
        )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    made = folder / "venv"
    venv.create(made, symlinks=True)
    subprocess.run(
        [*pip, "--python", str(made / "bin" / "python"), "install", "--quiet", "--no-deps", str(wheel)],
        check=True, env=_environment(),
    )  # fmt: skip
    (site,) = made.glob("lib/python*/site-packages")
    # a path alone: that environment's own editable Decant does not come along
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder in which the user has a loader.py of her own."""
    (tmp_path / "loader.py").write_text(
        "raise SystemExit('the user\\'s own loader.py was imported')\n"
    )
    return tmp_path


def _environment(**more: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**own, "NO_COLOR": "1", **more}


def _decant(made: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(made / "bin" / "decant"), *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env=_environment(DECANT_CACHE=str(folder / "cache"), **more),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_it_converts_and_validates_the_bundled_model_offline(
    environment: Path, elsewhere: Path
) -> None:
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "DOCKER_HOST": "unix:///nowhere.sock"}
    _decant(environment, elsewhere, "convert", **offline)
    parity = json.loads((elsewhere / "artifacts/lenet_digits/parity.json").read_text())
    assert parity["status"] == "passed"
    assert (elsewhere / "artifacts/lenet_digits/report.html").stat().st_size > 10_000
    told = _decant(environment, elsewhere, "validate", "lenet_digits", "--json", **offline).stdout
    assert json.loads(told)["ok"]


def test_it_takes_the_users_catalog(environment: Path, elsewhere: Path) -> None:
    text = (
        (ROOT / "models.yaml")
        .read_text()
        .replace("models/lenet_digits/", f"{ROOT}/models/lenet_digits/")
    )
    (elsewhere / "own.yaml").write_text(text.replace("lenet_digits:", "digits_of_mine:", 1))
    told = _decant(environment, elsewhere, "list", "--json", DECANT_CATALOG="own.yaml").stdout
    assert "digits_of_mine" in told


def test_python_finds_one_name_and_leaves_the_users_own(environment: Path, elsewhere: Path) -> None:
    _decant(environment, elsewhere, "convert", "--engine", "reader", "--no-report")
    code = (
        "import sys, decant; assert 'torch' not in sys.modules\n"
        "from decant import activations, errors, load\n"
        "import torch; model, transform = load('lenet_digits')\n"
        "found = activations(model, transform(torch.rand(1, 1, 16, 16)))\n"
        "assert found['ip2'].shape == (1, 10), found.keys()\n"
        "assert errors.ArtifactMissing.code == 10\n"
        "ours = {'commands', 'dumper', 'engines', 'loader', 'pipeline', 'hubconf', 'stages'}\n"
        "assert not ours & set(sys.modules)\n"
        "print(decant.__file__, decant.__version__)\n"
    )
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code],
        cwd=elsewhere, capture_output=True, text=True, check=False, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(environment))
    assert done.stdout.split()[1] == decant.__version__
    # only the one name, and what pip writes about it
    (site,) = environment.glob("lib/python*/site-packages")
    ours = {path.name for path in site.iterdir() if path.name != "dependencies.pth"}
    assert ours == {"decant", f"decant_caffe-{decant.__version__}.dist-info"}


@pytest.mark.container
def test_it_makes_the_same_image_as_the_checkout(environment: Path, elsewhere: Path) -> None:
    told = _decant(environment, elsewhere, "image", "--json").stdout
    mine = subprocess.run(
        [sys.executable, str(ROOT / "pipeline.py"), "image", "--json"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(told)["id"] == json.loads(mine)["id"]


def test_the_version_is_told(environment: Path, elsewhere: Path) -> None:
    assert _decant(environment, elsewhere, "--version").stdout == f"decant {decant.__version__}\n"


def test_in_a_checkout_the_short_names_are_the_same_modules() -> None:
    code = (
        "import loader, loader.errors, decant.loader.errors\n"
        "from decant.loader import activations, load\n"
        "from decant.loader.zoo.googlenet import GoogLeNet\n"
        "import decant.loader.zoo.googlenet as whole\n"
        "assert loader.errors is decant.loader.errors and GoogLeNet is whole.GoogLeNet\n"
        "assert callable(loader.lenet_digits) and callable(load) and callable(activations)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_not_there_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        decant.lod  # noqa: B018
    assert {"load", "activations", "errors"} <= set(dir(decant))
