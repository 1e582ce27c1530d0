"""docs/commands.md, from the help: `python docs/document_commands.py > docs/commands.md`."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import typer

from decant.pipeline import app

HEAD = """# Commands

Generated from the commands' own help (`python docs/document_commands.py > docs/commands.md`); a test
compares.
`--json` prints one JSON object on stdout and nothing else there. Exit codes: 0 all held; 1 our bug;
2 usage or catalog; 3 bad input file; 4 unsupported layer or parameter; 5 mapping; 6 parity or integrity;
7 fetch or hash; 8 engine or image; 9 GPU; 10 artifact absent; 130 Ctrl-C; 143 SIGTERM.
What to do about each error: [troubleshooting](troubleshooting.md).

An option of the command line goes before its variable:

| variable | says | without it |
|---|---|---|
| `DECANT_ARTIFACTS` | `--out`, and where names of artifacts are looked up | `artifacts` |
| `DECANT_CACHE` | the folder of downloads and dumps | `decant` in the user's cache folder |
| `DECANT_CATALOG` | `--catalog` | models.yaml of Decant |
| `DECANT_RETRY_PAUSE` | factor on the seconds between the tries of a download; 0: none | 1 |
| `DECANT_BASE` | what the image of Caffe is built on | the base in docker/caffe.Dockerfile |
| `DECANT_TORCH_BASE` | what the image of `--gpu` is built on | the base in docker/torch.Dockerfile |
| `DOCKER_HOST` | the engine | as for `docker` itself |
| `DECANT_REQUIRE_CONTAINER` | in tests, `1`: to have no engine or image is a failure | skipped |
| `DECANT_CASES` | in tests: a folder of real nets, with answers | one beside the checkout; or skipped |

`loader.load` and `torch.hub` heed `DECANT_ARTIFACTS` as the commands do.
"""


def document() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name in sorted(group.commands):
        parts.append(_command(name, group.commands[name]))
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    about, _, example = command.help.partition("Example: ")
    words = [
        name,
        *(_argument(item) for item in command.params if not item.opts[0].startswith("-")),
    ]
    lines = [f"## {name}", "", " ".join(about.split()), "", "```", f"decant {' '.join(words)}",
             f"{' '.join(example.split())}", "```", ""]  # fmt: skip
    for item in command.params:
        options = ", ".join(f"`{word}`" for word in [*item.opts, *item.secondary_opts])
        if options and item.opts[0] != "--help" and getattr(item, "help", None):
            variable = f" (`{item.envvar}`)" if getattr(item, "envvar", None) else ""
            lines.append(f"- {options}{variable}{_choices(item)}: {item.help}")
    return "\n".join(lines) + "\n"


def _choices(item: Any) -> str:
    """The words of an option that takes no others."""
    annotation = item.type_descriptor.annotation
    if get_origin(annotation) is not Literal:
        return ""
    return f" ({', '.join(f'`{word}`' for word in get_args(annotation))})"


def _argument(item: Any) -> str:
    word = item.name.upper() + ("..." if item.nargs == -1 else "")
    return word if item.required else f"[{word}]"


if __name__ == "__main__":
    print(document(), end="")
