"""`image`: build a container image now."""

from __future__ import annotations

from typing import Literal

from decant.commands.run import emit
from decant.loader.progress import for_terminal


def command(*, base: str | None, which: Literal["caffe", "torch"], as_json: bool) -> None:
    """Build (or find it built already) and say its id."""
    from decant.engines.docker.connection import connect
    from decant.engines.docker.image import build, find

    client = connect()
    try:
        # another base is another image, though its label is the same: then the engine's cache decides
        found = None if base else find(client, which)
        found = found or build(client, which, base, for_terminal())
        size = client.images.get(found).attrs["Size"]
    finally:
        client.close()
    if as_json:
        emit({"ok": True, "image": found, "bytes": size})
    else:
        print(f"{which} image {found[:19]}: {size / 1e6:.0f} MB")
