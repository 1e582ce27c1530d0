"""models.yaml is strict: every mistake is named by the path to its key, and all of them at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from decant.loader.catalog.models import DEFAULT, Catalog, load_catalog
from decant.loader.errors import CatalogError, UsageError
from tests.helpers.small_catalog import ENTRY, entry, write

ROOT = Path(__file__).resolve().parents[3]


def refusal(folder: Path, text: str) -> str:
    """What load_catalog says about a models.yaml with this text."""
    path = folder / "models.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        load_catalog(path)
    assert caught.value.code == 2
    assert "\n" not in caught.value.message
    return caught.value.message


def spoilt(place: str, value: Any) -> dict[str, Any]:
    """The small entry with one key (`a.b.c`) set."""
    changed = entry()
    inner = changed
    *parents, last = place.split(".")
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return changed


def refusal_of(folder: Path, changed: dict[str, Any]) -> str:
    return refusal(folder, json.dumps({"models": {"tiny": changed}}))


def test_a_small_catalog_is_read(tmp_path: Path) -> None:
    catalog = load_catalog(write(tmp_path, {"tiny": ENTRY}))
    model = catalog.model("tiny")
    assert model.name == "tiny"
    assert model.caffemodel.urls == ("https://example.org/tiny.caffemodel",)
    assert model.caffemodel.hashes == {"sha256": "ab" * 32}
    assert model.input.shape == (1, 16, 16)
    assert model.preprocessing.scale == 1.0
    assert model.preprocessing.mean == (0.0,)
    assert model.ignored_layers == ()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("caffemodel.sha256", "abc", "caffemodel: sha256: expected 64 hex digits, got 'abc'"),
        ("caffemodel.sha256", "g" * 64, "caffemodel: sha256: expected 64 hex digits"),
        ("caffemodel.sha1", "ab" * 32, "caffemodel: sha1: expected 40 hex digits"),
        ("caffemodel.sha384", "ab" * 32, "caffemodel: sha384: expected 96 hex digits"),
        ("caffemodel.sha256", 12, "caffemodel: sha256: "),
        ("caffemodel.sha265", "ab" * 32, "caffemodel: sha265: unknown key"),
        ("caffemodel.size", 0, "caffemodel: size: "),
        ("caffemodel.size", "12", "caffemodel: size: "),
        ("caffemodel.size", 1.5, "caffemodel: size: "),
        ("caffemodel.size", True, "caffemodel: size: "),
        ("caffemodel.file", "x.caffemodel", "caffemodel: give either urls or file"),
        ("caffemodel.urls", [], "caffemodel: give either urls or file"),
        ("caffemodel.urls", "https://example.org/x", "caffemodel: urls: "),
        ("caffemodel.urls", ["ftp://example.org/x"], "caffemodel: a URL begins with"),
        ("caffemodel.urls", ["example.org/x"], "caffemodel: a URL begins with"),
        ("caffemodel.archive", {"sha1": "ab" * 20}, "caffemodel: archive: member: missing"),
        ("caffemodel.archive", {"member": "x", "md5": "1"}, "caffemodel: archive: md5: expected"),
        ("caffemodel", "https://example.org/x", "caffemodel: "),
        ("module", 5, "module: "),
        ("modul", "lenet", "modul: unknown key"),
        ("arguments", {"num_classes": "ten"}, "arguments: num_classes: "),
        ("ignored_layers", "loss1/*", "ignored_layers: "),
        ("ignored_layers", [1], "ignored_layers: 0: "),
        ("input.shape", [16, 16], "input: shape"),
        ("input.shape", [1, 16, "16"], "input: shape: 2: "),
        ("input.shape", [1, 16, 16, 16], "input: shape"),
        ("preprocessing.mean", [1.0, 2.0, 3.0], "preprocessing: mean"),
        ("preprocessing.mean", ["0"], "preprocessing: mean: 0: "),
        ("preprocessing.mean", 0.0, "preprocessing: mean: "),
        ("preprocessing.channel_order", "GBR", "preprocessing: channel_order: "),
        ("preprocessing.resize", 16, "preprocessing: resize: "),
        ("preprocessing.scale", "1/255", "preprocessing: scale: "),
        ("labels", {"names": [0, 1]}, "labels: names: 0: "),
        ("accuracy", [{"top1": 5.0, "source": "s"}], "accuracy: 0: protocol: missing"),
        ("accuracy", [{"protocol": "p", "source": "s", "top1": "5"}], "accuracy: 0: top1: "),
        ("tolerance", {"Softmax": {"bound": 1.0}}, "tolerance: Softmax: reason: missing"),
    ],
)
def test_a_wrong_value_is_named_by_the_path_to_its_key(
    tmp_path: Path, place: str, value: Any, message: str
) -> None:
    assert f"models.yaml: tiny: {message}" in refusal_of(tmp_path, spoilt(place, value))


@pytest.mark.parametrize("key", ["module", "prototxt", "caffemodel", "licence", "citation"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    changed = entry()
    del changed[key]
    assert f"models.yaml: tiny: {key}: missing" in refusal_of(tmp_path, changed)


@pytest.mark.parametrize("key", ["input", "preprocessing"])
def test_only_a_generated_module_does_without_input_and_preprocessing(
    tmp_path: Path, key: str
) -> None:
    changed = entry()
    del changed[key]
    assert "input and preprocessing are missing" in refusal_of(tmp_path, changed)
    changed["module"] = "generated"
    changed.pop("arguments", None)
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"models": {"tiny": changed}}))
    assert load_catalog(path).model("tiny").module == "generated"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("preprocessing.crop", -3),
        ("preprocessing.crop", 0),
        ("preprocessing.crop", 17),
        ("preprocessing.resize", [0, 16]),
        ("preprocessing.resize", [32, 32]),
        ("preprocessing.scale", 0.0),
        ("input.shape", [1, -16, 16]),
        ("input.shape", [3, 16, 16]),
        ("module", "lennet"),
        ("name", "other"),
        ("caffemodel.urls", ["http://"]),
        ("accuracy", [{"protocol": "p", "source": "s", "top1": 568.0}]),
        ("tolerance", {"Softmax": {"bound": -1.0, "reason": "r"}}),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(tmp_path: Path, place: str, value: Any) -> None:
    refusal_of(tmp_path, spoilt(place, value))


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_mean_that_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    text = json.dumps({"models": {"tiny": ENTRY}}).replace("[0.0]", f"[{number}]")
    refusal(tmp_path, text)


def test_the_digest_of_the_empty_file_is_no_checksum(tmp_path: Path) -> None:
    refusal_of(tmp_path, spoilt("caffemodel.sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"))


def test_all_mistakes_of_all_models_are_reported_at_once(tmp_path: Path) -> None:
    broken = {
        "first": spoilt("caffemodel.sha256", "abc"),
        "second": {**spoilt("input.blob", 7), "extra": 1},
        "Third": ENTRY,
    }
    with pytest.raises(CatalogError) as caught:
        load_catalog(write(tmp_path, broken))
    details = "\n".join(caught.value.details)
    for part in (
        "models.yaml: first: caffemodel: sha256: ",
        "models.yaml: second: input: blob: ",
        "models.yaml: second: extra: unknown key",
        "models.yaml: Third: ",
    ):
        assert part in details
    assert len(caught.value.details) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "models"),
        ("models:\n", "models"),
        ("- models\n", "models"),
        ("models: {}\nmore: {}\n", "models"),
        ("models: {tiny: {module: a, module: b}}\n", "twice"),
        ("models: {tiny: {}, tiny: {}}\n", "twice"),
        ("a: &x {b: 1}\nmodels: *x\n", "alias"),
        ("models: {1: {}}\n", "1"),
        ("models: {[a, b]: {}}\n", "not a string"),
        ("models: !!python/object/apply:os.system [true]\n", "python"),
        ("models: {tiny: [}\n", "line 1"),
        ("models: {}\n---\nmodels: {}\n", "document"),
        ("models: " + "[" * 6000, "deep"),
        ("models: {}  # " + "x" * (1 << 20), "larger than"),
    ],
    ids=range(14),
)
def test_yaml_that_holds_surprises_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_a_chain_of_aliases_is_refused_before_it_is_walked(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "alias" in refusal(tmp_path, "\n".join(lines))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"models: \xff\xfe\x00")
    with pytest.raises(CatalogError, match=r"models\.yaml"):
        load_catalog(path)


@pytest.mark.parametrize("entry_value", ["text", 5, None, []])
def test_an_entry_that_is_no_mapping_is_refused(tmp_path: Path, entry_value: Any) -> None:
    assert "models.yaml: tiny: " in refusal(tmp_path, json.dumps({"models": {"tiny": entry_value}}))


def yaml_text(**replaced: str) -> str:
    """The small entry as YAML, top-level values written as given."""
    lines = yaml.safe_dump(ENTRY, default_flow_style=True, width=10**6).strip()
    for key, value in replaced.items():
        old = yaml.safe_dump({key: ENTRY[key]}, default_flow_style=True, width=10**6).strip()[1:-1]
        lines = lines.replace(old, f"{key}: {value}")
    return f"models:\n  tiny: {lines}\n"


@pytest.mark.parametrize("word", ["no", "off", "yes", "on", "2020-01-01", "0123", "0x10", "1_000"])
def test_words_that_yaml_11_would_turn_into_something_else_stay_text(
    tmp_path: Path, word: str
) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(yaml_text(licence=word))
    assert load_catalog(path).model("tiny").licence == word


def test_a_digest_of_digits_alone_keeps_its_leading_zero(tmp_path: Path) -> None:
    digest = "0" + "1234567" * 9
    path = tmp_path / "models.yaml"
    path.write_text(yaml_text(caffemodel=f"{{urls: ['https://example.org/x'], sha256: {digest}}}"))
    assert load_catalog(path).model("tiny").caffemodel.sha256 == digest


def test_a_digest_that_reads_as_a_number_is_an_error_and_not_another_digest(
    tmp_path: Path,
) -> None:
    text = yaml_text(caffemodel=f"{{urls: ['https://example.org/x'], sha256: {'12345678' * 8}}}")
    assert "tiny: caffemodel: sha256: " in refusal(tmp_path, text)


def test_a_bound_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    text = yaml_text(citation="none, tolerance: {LRN: {bound: 1e-4, reason: drift}}")
    path.write_text(text)
    assert load_catalog(path).model("tiny").tolerance["LRN"].bound == 1e-4


def test_the_catalog_is_the_one_given_then_the_environments_then_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write(tmp_path, {"given": ENTRY}, "given.yaml")
    named = write(tmp_path, {"named": ENTRY}, "named.yaml")
    assert "googlenet_bvlc" in load_catalog().models
    monkeypatch.setenv("DECANT_CATALOG", str(named))
    assert list(load_catalog().models) == ["named"]
    assert list(load_catalog(given).models) == ["given"]


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_catalog_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(tmp_path / name)


def test_paths_are_relative_to_the_catalog_and_not_to_the_shell(tmp_path: Path) -> None:
    catalog = load_catalog(write(tmp_path, {"tiny": ENTRY}))
    assert catalog.local("deploy.prototxt") == (tmp_path / "deploy.prototxt").resolve()


def test_an_unknown_model_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        load_catalog().model("googlenet_place365")
    assert caught.value.code == 2
    assert "did you mean googlenet_places365?" in caught.value.message


def test_what_was_read_cannot_be_changed(tmp_path: Path) -> None:
    model = load_catalog(write(tmp_path, {"tiny": ENTRY})).model("tiny")
    with pytest.raises(ValidationError):
        model.module = "vgg16"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        model.caffemodel.size = 1  # type: ignore[misc]


def test_the_command_line_loads_no_catalog_to_start() -> None:
    code = "import sys; from decant import pipeline; sys.exit('decant.loader.catalog.models' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- our own models.yaml -----------------------------------------------------------------------

# learnable parameters of the deploy net, and what the published file holds beyond them, in bytes:
# names and shapes, and for googlenet_bvlc the two auxiliary heads (6,379,728 parameters)
PARAMETERS = {
    "googlenet_bvlc": (6_998_552, 6_379_728 * 4 + 20_634),
    "googlenet_places205": (6_183_677, None),
    "googlenet_places365": (6_347_677, None),
    "caffenet": (60_965_224, 1_522),
    "alexnet": (60_965_224, 1_518),
    "vgg16": (138_357_544, 1_905),
    "vgg19": (143_667_240, 2_232),
    "vgg_face": (145_002_878, 2_276),
}
# of the nets whose module is generated; the extra bytes are BatchNorm's names and shapes, too
GENERATED = {
    "resnet50": (25_610_269, 21_321),
    "resnet101": (44_654_608, 44_170),
    "resnet152": (60_344_387, 66_623),
    "squeezenet1_0": (1_248_424, 7_707),
    "squeezenet1_1": (1_235_496, 8_096),
    "mobilenet_v1": (4_253_891, 11_494),
    "mobilenet_v2": (3_540_189, 25_740),
    "densenet121": (8_062_625, 53_370),
    "hed": (14_717_535, 5_964),
    "mtcnn_det1": (6_632, 1_635),
    "mtcnn_det2": (100_178, 7_198),
    "mtcnn_det3": (389_040, 2_252),
}
MEANS = {
    "googlenet_bvlc": (104, 117, 123),
    "googlenet_places205": (105.417, 113.753, 116.047),
    "googlenet_places365": (104.051, 112.5145, 116.676),
    "caffenet": (104.00699, 116.66877, 122.67891),
    "alexnet": (104.00699, 116.66877, 122.67891),
    "vgg16": (103.939, 116.779, 123.68),
    "vgg19": (103.939, 116.779, 123.68),
    "vgg_face": (93.594, 104.7624, 129.1863),
}


@pytest.fixture(scope="module")
def ours() -> Catalog:
    return load_catalog(DEFAULT)


def test_our_catalog_has_the_nets_that_people_own(ours: Catalog) -> None:
    by_hand = {name for name, model in ours.models.items() if model.module != "generated"}
    assert by_hand == {"lenet_digits", *PARAMETERS}
    generated = set(ours.models) - by_hand
    assert generated >= {
        *GENERATED, "nin_imagenet", "inception_v3", "inception_v4", "fcn8s", "age_net", "gender_net",
        "lightcnn_a", "lightcnn_b", "openpose_body_25", "openpose_coco", "openpose_mpi", "openpose_face",
        "openpose_hand", "alexnet_places365", "vgg16_places365", "vgg16_hybrid1365",
        "resnet152_places365", "resnet152_hybrid1365", "rcnn_ilsvrc13", "flickr_style", "ssd300",
        "mobilenet_ssd",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*PARAMETERS, *GENERATED])
def test_the_published_size_is_that_of_the_parameters_and_a_little(
    ours: Catalog, name: str
) -> None:
    parameters, extra = {**PARAMETERS, **GENERATED}[name]
    size = ours.models[name].caffemodel.size
    assert size == (None if extra is None else parameters * 4 + extra)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_module_has_as_many_parameters_as_the_caffe_net(ours: Catalog, name: str) -> None:
    torch = pytest.importorskip("torch")
    from decant.loader.zoo import build

    model = ours.models[name]
    with torch.device("meta"):
        module = build(model.module, model.arguments)
    assert sum(tensor.numel() for tensor in module.parameters()) == PARAMETERS[name][0]


@pytest.mark.parametrize("name", MEANS)
def test_means_are_in_the_order_of_the_nets_channels(ours: Catalog, name: str) -> None:
    preprocessing = ours.models[name].preprocessing
    assert preprocessing.channel_order == "BGR"
    assert preprocessing.mean == pytest.approx(MEANS[name], abs=1e-9)
    assert preprocessing.scale == 1.0


def test_preprocessing_makes_what_the_input_blob_takes(ours: Catalog) -> None:
    wrong = []
    for name, model in ours.models.items():
        how = model.preprocessing
        if how is None:
            assert model.module == "generated"
            continue
        size = (how.crop, how.crop) if how.crop else how.resize
        if model.input.shape != (len(how.mean), *size):
            wrong.append(name)
    assert not wrong


def test_the_auxiliary_heads_of_the_three_googlenets_may_stay_unused(ours: Catalog) -> None:
    for name, model in ours.models.items():
        expected = ("loss1/*", "loss2/*") if name.startswith("googlenet") else ()
        assert model.ignored_layers == expected, name


def test_only_files_that_nobody_published_a_checksum_of_have_none(ours: Catalog) -> None:
    without = {
        (name, what)
        for name, model in ours.models.items()
        for what in ("prototxt", "caffemodel")
        if not (source := getattr(model, what)).hashes and not source.file
    }
    assert without == {
        ("googlenet_places205", "caffemodel"),
        ("googlenet_places365", "caffemodel"),
        ("vgg_face", "prototxt"),
        ("nin_imagenet", "prototxt"),
        ("inception_v3", "prototxt"),
        ("inception_v3", "caffemodel"),
        ("openpose_face", "prototxt"),
        ("openpose_hand", "prototxt"),
        ("mobilenet_ssd", "prototxt"),
        *(
            (name, "caffemodel")
            for name in ours.models
            if name.endswith(("_places365", "_hybrid1365")) and name != "googlenet_places365"
        ),
        # NetDissect's copies
        *(
            (name, what)
            for name in ("alexnet_places205", "vgg16_places205", "resnet152_torch_imagenet")
            for what in ("prototxt", "caffemodel")
        ),
        ("resnet152_torch_places365", "prototxt"),
    }
    # those from an archive have the archive's checksum
    assert ours.models["googlenet_places205"].caffemodel.archive.sha1
    assert ours.models["vgg_face"].prototxt.archive.md5


def test_a_definition_at_a_repository_is_pinned_to_a_full_commit_or_a_hash(ours: Catalog) -> None:
    loose = [
        url
        for model in ours.models.values()
        for url in model.prototxt.urls
        if "githubusercontent.com" in url
        and not model.prototxt.sha256
        and not re.search(r"/[0-9a-f]{40}/", url)
    ]
    # the gist's first download is recorded in the lock file
    assert loose == [url for url in loose if "/mavenlin/" in url]


def test_the_bundled_model_needs_no_network(ours: Catalog) -> None:
    model = ours.models["lenet_digits"]
    for source in (model.prototxt, model.caffemodel):
        assert source.file and ours.local(source.file).is_file()
    assert model.labels and model.labels.names == tuple("0123456789")
    assert model.reference_dump and ours.local(model.reference_dump).is_file()
    assert model.validation and ours.local(model.validation).is_dir()


def test_the_bundled_files_have_checksums_too(ours: Catalog) -> None:
    model = ours.models["lenet_digits"]
    for source in (model.prototxt, model.caffemodel):
        assert source.sha256 and source.file
        assert source.size == ours.local(source.file).stat().st_size
