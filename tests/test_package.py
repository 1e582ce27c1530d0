"""The wheel, installed in an environment of its own and used from a folder that is not the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import decant

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "artifacts", "build", "tests", "*.egg-info", "__pycache__")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OURS = ("commands", "dumper", "engines", "hubconf", "loader", "models", "pipeline", "stages")
REACHED = ("No matching distribution", "Could not find a version", "connection", "Connection")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and what it depends on from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("package")
    wheel = _wheel(_copy(folder / "source"), folder)
    made = folder / "venv"
    venv.create(made, symlinks=True)
    subprocess.run(
        [*PIP, "--python", str(made / "bin" / "python"), "install", "--quiet", "--no-deps", str(wheel)],
        check=True, env=_environment(),
    )  # fmt: skip
    (site,) = made.glob("lib/python*/site-packages")
    # a path alone: that environment's own editable Decant does not come along
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


@pytest.fixture(scope="module")
def unlinked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as Python's zipfile unpacks it: in the place of each link its target's name."""
    copy = _copy(tmp_path_factory.mktemp("unlinked") / "decant-main")
    links = [path for path in (copy / "decant").iterdir() if path.is_symlink()]
    assert links
    for link in links:
        target = os.readlink(link)
        link.unlink()
        link.write_text(target)
    return copy


def _copy(folder: Path) -> Path:
    """setuptools leaves a folder build/ whose old files would be part of the next wheel."""
    return shutil.copytree(ROOT, folder, symlinks=True, ignore=LEFT_OUT)


def _wheel(source: Path, folder: Path) -> Path:
    """What pip makes of a checkout; skips where it cannot have the build's own packages."""
    built = subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
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
    return wheel


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder in which the user has files of her own that are called like our folders."""
    for name in OURS:
        (tmp_path / f"{name}.py").write_text(
            f"raise SystemExit('her own {name}.py was imported')\n"
        )
    return tmp_path


def _environment(**more: str) -> dict[str, str]:
    ours = ("PYTHONPATH", "DECANT_CATALOG", "DECANT_ARTIFACTS")
    own = {key: value for key, value in os.environ.items() if key not in ours}
    return {**own, "NO_COLOR": "1", **more}


def _decant(made: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    done = _tried(made, folder, *words, **more)
    assert done.returncode == 0, done.stderr
    return done


def _tried(made: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(made / "bin" / "decant"), *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env=_environment(DECANT_CACHE=str(folder / "cache"), **more),
    )  # fmt: skip


def _python(made: Path, folder: Path, code: str) -> str:
    done = subprocess.run(
        [str(made / "bin" / "python"), "-c", code],
        cwd=folder, capture_output=True, text=True, check=False, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _files(made: Path) -> set[Path]:
    """Of the installed package, but for what Python itself writes there."""
    (site,) = made.glob("lib/python*/site-packages")
    return {path for path in (site / "decant").rglob("*") if "__pycache__" not in path.parts}


def test_it_converts_and_validates_the_bundled_model_offline(
    environment: Path, elsewhere: Path
) -> None:
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "DOCKER_HOST": "unix:///nowhere.sock"}
    installed = _files(environment)
    _decant(environment, elsewhere, "convert", **offline)
    parity = json.loads((elsewhere / "artifacts/lenet_digits/parity.json").read_text())
    assert parity["status"] == "passed"
    assert (elsewhere / "artifacts/lenet_digits/report.html").stat().st_size > 10_000
    told = _decant(environment, elsewhere, "validate", "lenet_digits", "--json", **offline).stdout
    assert json.loads(told)["ok"]
    assert _files(environment) == installed
    assert {path.name for path in elsewhere.iterdir()} - {f"{name}.py" for name in OURS} == {
        "artifacts",
        "cache",
    }


def test_a_next_step_is_one_that_the_user_can_take(environment: Path, elsewhere: Path) -> None:
    """There is no Makefile to say `make convert` to."""
    for words in (["validate"], ["report", "absent"]):
        done = _tried(environment, elsewhere, *words)
        assert done.returncode == 10
        assert "decant convert" in done.stderr and "make " not in done.stderr
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    assert "make " not in _decant(environment, elsewhere, "doctor", **nowhere).stdout


def test_what_is_recorded_of_a_download_is_kept_outside_the_package(
    environment: Path, elsewhere: Path
) -> None:
    code = (
        "from pathlib import Path\n"
        "from decant.loader.catalog import lockfile, models\n"
        "print(lockfile.path_for(models.DEFAULT))\n"
        "print(lockfile.path_for(Path('models.yaml')))\n"
    )
    of_the_package, of_the_user = _python(environment, elsewhere, code).split()
    assert Path(of_the_package).is_absolute()
    assert not Path(of_the_package).is_relative_to(environment)
    assert of_the_user == "models.lock.json"


def test_the_shell_completes_its_commands(environment: Path, elsewhere: Path) -> None:
    asked = {"_DECANT_COMPLETE": "complete_bash", "COMP_WORDS": "decant conv", "COMP_CWORD": "1"}
    assert _decant(environment, elsewhere, **asked).stdout.split() == ["convert"]


def test_a_checkout_that_lost_its_links_gives_the_same_wheel(
    unlinked: Path, environment: Path, tmp_path: Path
) -> None:
    """`pip install` of a zip: without care, a wheel of three files that installs and does not run."""
    source = shutil.copytree(unlinked, tmp_path / "source")
    names = [zipfile.ZipFile(_wheel(source, tmp_path)).namelist()]
    (wheel,) = environment.parent.glob("*.whl")
    names.append(zipfile.ZipFile(wheel).namelist())
    assert sorted(names[0]) == sorted(names[1])


def test_a_checkout_that_lost_its_links_runs(unlinked: Path) -> None:
    """As torch.hub unpacks it."""
    code = (
        "import hubconf, decant.pipeline, decant.loader.catalog.models as models\n"
        "from loader import load\n"
        "assert callable(hubconf.lenet_digits) and models.load_catalog().models\n"
        "from decant.engines.docker import image\n"
        "found = {name.split('/')[0] for name, _ in image._files('torch')}\n"
        "assert found >= {name.split('/')[0] for name in image.CONTEXTS['torch']}, found\n"
        "assert all((image.ROOT / name).is_file() for name in image.CONTEXTS['caffe'])\n"
    )
    for words in (["-c", code], ["pipeline.py", "list"], ["-m", "decant", "--version"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=unlinked, capture_output=True, text=True, check=False,
            env=_environment(PYTHONPATH=str(unlinked)),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


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
        f"assert not set({OURS}) & set(sys.modules)\n"
        "print(decant.__file__, decant.__version__)\n"
    )
    place, version = _python(environment, elsewhere, code).split()
    assert place.startswith(str(environment))
    assert version == decant.__version__
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
    assert json.loads(told)["image"] == json.loads(mine)["image"]


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
