"""The command line: `python pipeline.py COMMAND`, also installed as `decant`.

Orchestrates the two stages; what a command does is in commands/. Nothing here imports torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from decant.commands.run import run
from decant.commands.words import parse_shapes
from decant.loader.definition.reading import ReadingOptions
from decant.loader.progress import for_terminal
from decant.stages import options as asked
from decant.stages.options import Options

app = typer.Typer(
    name="decant",
    help="Move Caffe models into PyTorch, and prove it.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Engine = Annotated[
    asked.Wanted, typer.Option(help="Who reads the model; auto: real Caffe where it is available.")
]
# of an artifact: real Caffe answers beside PyTorch only where it is named
Beside = Annotated[
    Literal[asked.Wanted, "none"],
    typer.Option(help="caffe: ask real Caffe about the same pictures."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Gpu = Annotated[bool, typer.Option("--gpu", help="Run stage 2 in the torch container on the GPU.")]
Device = Annotated[asked.Device, typer.Option(help="Run stage 2 here, on this.")]
Catalog = Annotated[
    Path | None,
    typer.Option(help="A catalog in place of models.yaml.", envvar="DECANT_CATALOG"),
]
Prototxt = Annotated[
    Path | None, typer.Option(help="The net's definition; none: the one in the caffemodel.")
]
Caffemodel = Annotated[Path | None, typer.Option(help="The net's weights.")]
Probe = Annotated[Path | None, typer.Option(help="NPZ with the probe input, one array a blob.")]
Input = Annotated[
    list[str] | None, typer.Option("--input", help="Shape of an input: BLOB=1,3,224,224.")
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore-layer", help="A layer of the caffemodel that the net may lack."),
]
Phase = Annotated[
    Literal["test", "train"] | None,
    typer.Option(help="Whose layers are taken.", case_sensitive=False),
]
Stage = Annotated[list[str] | None, typer.Option(help="A stage that the net is in, as deploy.")]
Level = Annotated[int | None, typer.Option(help="The level that the net is at.")]
Crop = Annotated[
    Literal["stock", "aligned"] | None,
    typer.Option(help="Where a Crop without an offset begins: stock (at 0) or aligned."),
]
PriorSizes = Annotated[
    Literal["whole", "exact"] | None,
    typer.Option(help="Sizes of PriorBox: whole (as SSD cuts them) or exact."),
]
Float = Annotated[
    bool, typer.Option("--float", help="Quantised layers as the float ones that they hold.")
]
Rpn = Annotated[
    list[str] | None,
    typer.Option("--rpn", help="A setting of py-faster-rcnn's ProposalLayer: post_nms_top_n=300."),
]
Out = Annotated[
    Path,
    typer.Option(help="Folder in which the artifact's folder is made.", envvar="DECANT_ARTIFACTS"),
]
Name = Annotated[str | None, typer.Option(help="The artifact's name.")]
Plugin = Annotated[
    list[str] | None,
    typer.Option("--layer-plugin", help="Your own torch module for a layer type: module:Class."),
]
Mean = Annotated[
    str | None, typer.Option(help="In place of the net's: 104,117,123, .binaryproto or .npy.")
]
Labels = Annotated[Path | None, typer.Option(help="Names of the classes, one a line.")]
NoParity = Annotated[bool, typer.Option("--no-parity", help="Parameters only, no probe run.")]


def _tell_version(asked: bool) -> None:
    if asked:
        from decant import __version__

        typer.echo(f"decant {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """Move Caffe models into PyTorch, and prove it."""


def _named(engine: Literal[asked.Wanted, "none"]) -> asked.Wanted:
    """`none` is an older word for not asking."""
    return "auto" if engine == "none" else engine


@app.command("convert")
def convert_command(
    model: Annotated[str | None, typer.Argument(help="A model of the catalog.")] = None,
    prototxt: Prototxt = None,
    caffemodel: Caffemodel = None,
    name: Name = None,
    out: Out = Path("artifacts"),
    engine: Engine = "auto",
    device: Device = "cpu",
    gpu: Gpu = False,
    probe: Probe = None,
    input_shapes: Input = None,
    phase: Phase = None,
    stage: Stage = None,
    level: Level = None,
    crop: Crop = None,
    prior_sizes: PriorSizes = None,
    float_weights: Float = False,
    rpn: Rpn = None,
    ignore_layer: Ignore = None,
    layer_plugin: Plugin = None,
    no_parity: NoParity = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="No report.html, as with --no-parity.")
    ] = False,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Convert a model, or any net's two files, into a verified PyTorch artifact.

    Example: decant convert --prototxt deploy.prototxt --caffemodel net.caffemodel
    """
    from decant.commands.convert import command
    from decant.stages.inputs import Source

    options = Options(
        out=out,
        engine=engine,
        device=device,
        gpu=gpu,
        parity=not no_parity,
        report=not (no_report or no_parity),
        probe=probe,
        shapes=parse_shapes(input_shapes or ()),
        reading=ReadingOptions(
            phase, stage or (), level, crop, prior_sizes, float_weights, rpn or ()
        ),
        ignored_layers=ignore_layer or (),
        plugins=layer_plugin or (),
        catalog=catalog,
        progress=for_terminal(),
    )
    command(source=Source(model, prototxt, caffemodel, name), options=options, as_json=as_json)


@app.command("dump")
def dump_command(
    out: Annotated[Path, typer.Option(help="The dump to write.")],
    model: Annotated[str | None, typer.Argument(help="A model of the catalog.")] = None,
    prototxt: Prototxt = None,
    caffemodel: Caffemodel = None,
    npz: Annotated[bool, typer.Option("--npz", help="NPZ instead of HDF5.")] = False,
    engine: Engine = "auto",
    probe: Probe = None,
    input_shapes: Input = None,
    phase: Phase = None,
    stage: Stage = None,
    level: Level = None,
    crop: Crop = None,
    prior_sizes: PriorSizes = None,
    float_weights: Float = False,
    rpn: Rpn = None,
    ignore_layer: Ignore = None,
    no_parity: NoParity = False,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Stage 1 alone: write what Caffe holds and computes.

    Example: decant dump --prototxt deploy.prototxt --caffemodel net.caffemodel --out net.h5
    """
    from decant.commands.dump import command
    from decant.stages.inputs import Source

    options = Options(
        engine=engine,
        parity=not no_parity,
        probe=probe,
        shapes=parse_shapes(input_shapes or ()),
        reading=ReadingOptions(
            phase, stage or (), level, crop, prior_sizes, float_weights, rpn or ()
        ),
        ignored_layers=ignore_layer or (),
        catalog=catalog,
        progress=for_terminal(),
    )
    source = Source(model, prototxt, caffemodel)
    command(source=source, out=out, npz=npz, options=options, as_json=as_json)


@app.command("load")
def load_command(
    dump: Annotated[Path, typer.Argument(help="A dump written by stage 1.")],
    model: Annotated[
        str | None, typer.Option(help="The catalog's model that it is; none: any net.")
    ] = None,
    name: Name = None,
    out: Out = Path("artifacts"),
    device: Device = "cpu",
    input_shapes: Input = None,
    phase: Phase = None,
    stage: Stage = None,
    level: Level = None,
    crop: Crop = None,
    prior_sizes: PriorSizes = None,
    float_weights: Float = False,
    rpn: Rpn = None,
    layer_plugin: Plugin = None,
    no_parity: NoParity = False,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Stage 2 alone: make the artifact from a dump.

    Example: decant load googlenet.h5 --model googlenet_bvlc
    """
    from decant.commands.load import command

    options = Options(
        out=out,
        device=device,
        parity=not no_parity,
        shapes=parse_shapes(input_shapes or ()),
        reading=ReadingOptions(
            phase, stage or (), level, crop, prior_sizes, float_weights, rpn or ()
        ),
        plugins=layer_plugin or (),
        catalog=catalog,
        progress=for_terminal(),
    )
    command(dump=dump, model=model, name=name, options=options, as_json=as_json)


@app.command("validate")
def validate_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Artifacts by name or folder; none: all of them.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of labelled pictures.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pictures.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that holds the artifacts.")] = None,
    engine: Beside = "auto",
    device: Device = "cpu",
    gpu: Gpu = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that read pictures; 0: this one.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="A table by class.")] = False,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Check artifacts again: hashes, parity, and accuracy on labelled pictures.

    Example: decant validate lenet_digits
    """
    from decant.commands.validate import command

    command(
        names=names or [],
        data=data,
        limit=limit,
        out=out,
        workers=workers,
        per_class=per_class,
        options=Options(
            engine=_named(engine),
            device=device,
            gpu=gpu,
            catalog=catalog,
            progress=for_terminal(),
        ),
        as_json=as_json,
    )


@app.command("classify")
def classify_command(
    model: Annotated[str, typer.Argument(help="An artifact, by name or folder.")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures that Pillow can read.")],
    oversample: Annotated[
        bool, typer.Option("--oversample", help="Ten crops, averaged, instead of the centre.")
    ] = False,
    mean: Mean = None,
    labels: Labels = None,
    engine: Beside = "auto",
    device: Device = "cpu",
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Show the five best classes of each picture.

    Example: decant classify lenet_digits models/lenet_digits/validation/3/0003.png --engine caffe
    """
    from decant.commands.classify import command

    command(
        model=model,
        pictures=pictures,
        oversample=oversample,
        mean=mean,
        labels=labels,
        options=Options(
            engine=_named(engine), device=device, catalog=catalog, progress=for_terminal()
        ),
        as_json=as_json,
    )


@app.command("compare")
def compare_command(
    one: Annotated[Path, typer.Argument(help="A dump, an artifact, or an NPZ of activations.")],
    other: Annotated[Path, typer.Argument(help="What it is measured against.")],
    bound: Annotated[float, typer.Option(help="On max|a - b|, as a part of max|b|.")] = 1e-5,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Compare two sides layer by layer; ends in 6 where they differ.

    Example: decant compare artifacts/lenet_digits models/lenet_digits/reference.h5
    """
    from decant.commands.compare import command

    command(one=one, other=other, bound=bound, options=Options(device=device), as_json=as_json)


@app.command("report")
def report_command(
    model: Annotated[str, typer.Argument(help="An artifact: its name or its folder.")],
    picture: Annotated[
        Path | None, typer.Option(help="A picture for the heat map and the classes.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Write the pictures as files here too.")] = None,
    engine: Beside = "auto",
    mean: Mean = None,
    labels: Labels = None,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Write report.html into an artifact: verdict, parity, kernels, activations, heat map.

    Example: decant report lenet_digits --png pictures
    """
    from decant.commands.report import command

    command(
        model=model,
        picture=picture,
        png=png,
        mean=mean,
        labels=labels,
        options=Options(engine=_named(engine), catalog=catalog, progress=for_terminal()),
        as_json=as_json,
    )


@app.command("list")
def list_command(
    out: Annotated[Path | None, typer.Option(help="Folder that holds the artifacts.")] = None,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """List the catalog's models and which of them are converted.

    Example: decant list
    """
    from decant.commands.list import command

    command(out=out, catalog=catalog, as_json=as_json)


@app.command("fetch")
def fetch_command(
    models: Annotated[list[str] | None, typer.Argument(help="Models; none: all.")] = None,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Download models' files into the cache, checked.

    Example: decant fetch googlenet_bvlc
    """
    from decant.commands.fetch import command

    command(models=models or [], catalog=catalog, as_json=as_json)


@app.command("add")
def add_command(
    name: Annotated[str, typer.Argument(help="The new model's name: letters, digits and _.")],
    prototxt: Annotated[
        list[str], typer.Option(help="The definition: a file or URL; several are mirrors.")
    ],
    caffemodel: Annotated[
        list[str], typer.Option(help="The weights: a file or URL; several are mirrors.")
    ],
    labels: Annotated[
        list[str] | None, typer.Option(help="Names of the classes: a file or URL.")
    ] = None,
    module: Annotated[
        str, typer.Option(help="generated, or a hand-written one of loader/zoo.")
    ] = "generated",
    mean: Mean = None,
    licence: Annotated[str, typer.Option(help="What the weights may be used for.")] = "",
    citation: Annotated[str, typer.Option(help="Who made it.")] = "",
    input_shapes: Input = None,
    phase: Phase = None,
    stage: Stage = None,
    level: Level = None,
    crop: Crop = None,
    prior_sizes: PriorSizes = None,
    float_weights: Float = False,
    rpn: Rpn = None,
    ignore_layer: Ignore = None,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Add a model to the catalog: its files are fetched and checked, their hashes filled in.

    Example: decant add my_net --prototxt deploy.prototxt --caffemodel https://example.org/a.caffemodel
    """
    from decant.commands.add import command
    from decant.stages.add import Described

    options = Options(
        shapes=parse_shapes(input_shapes or ()),
        reading=ReadingOptions(
            phase, stage or (), level, crop, prior_sizes, float_weights, rpn or ()
        ),
        ignored_layers=ignore_layer or (),
        catalog=catalog,
        progress=for_terminal(),
    )
    command(
        name=name,
        model=Described(prototxt, caffemodel, labels or (), module, mean, licence, citation),
        input_shapes=input_shapes or [],
        options=options,
        as_json=as_json,
    )


@app.command("inspect")
def inspect_command(
    file: Annotated[
        Path,
        typer.Argument(help="A prototxt, caffemodel, dump or artifact; or a model of the catalog."),
    ],
    input_shapes: Input = None,
    phase: Phase = None,
    stage: Stage = None,
    level: Level = None,
    crop: Crop = None,
    prior_sizes: PriorSizes = None,
    float_weights: Float = False,
    rpn: Rpn = None,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Show what a file holds: layers, shapes, parameters, multiply-adds, memory.

    Example: decant inspect net.caffemodel
    """
    from decant.commands.inspect import command

    options = Options(
        shapes=parse_shapes(input_shapes or ()),
        reading=ReadingOptions(
            phase, stage or (), level, crop, prior_sizes, float_weights, rpn or ()
        ),
        catalog=catalog,
        progress=for_terminal(),
    )
    command(file=file, options=options, as_json=as_json)


@app.command("artifacts")
def artifacts_command(
    out: Out = Path("artifacts"),
    engine: Engine = "auto",
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Convert every model whose weights can be downloaded, and write SHA256SUMS.

    Example: decant artifacts --out release
    """
    from decant.commands.artifacts import command

    options = Options(engine=engine, report=True, catalog=catalog, progress=for_terminal())
    command(out=out, options=options, as_json=as_json)


@app.command("image")
def image_command(
    base: Annotated[str | None, typer.Option(help="Base image instead of the pinned one.")] = None,
    which: Annotated[
        Literal["caffe", "torch"], typer.Option(help="Of stage 1, or of stage 2 with a GPU.")
    ] = "caffe",
    as_json: Json = False,
) -> None:
    """Build the container image of stage 1 (or, with --which torch, of stage 2).

    Example: decant image --base decant-base:bullseye
    """
    from decant.commands.image import command

    command(base=base, which=which, as_json=as_json)


@app.command("doctor")
def doctor_command(
    gpu: Annotated[bool, typer.Option("--gpu", help="A missing GPU is an error.")] = False,
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Look at the engine, the images, the GPU, the disk and the catalog, and say what to do.

    Example: decant doctor
    """
    from decant.commands.doctor import command

    command(gpu=gpu, catalog=catalog, as_json=as_json)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `decant`: runs a command and exits with its code."""
    words = sys.argv[1:] if arguments is None else arguments
    words = words or ["--help"]
    sys.exit(run(lambda: app(words, standalone_mode=False), as_json="--json" in words))


if __name__ == "__main__":
    main()
