"""Read an NPZ file that nobody vouches for: stored members, little-endian float32, attributes as JSON.

An archive can name a member twice, let members overlap, announce terabytes or hold a pickle. All of that
is refused; what is left is a map of the file.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from .hdf5_guard import UnsafeFile
from .npz_writer import META, NPY_MAGIC, blocks

_NPY_HEAD = re.compile(
    rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \(((?:[0-9]{1,18},? ?)*)\), \} *\n\Z"
)


def read_archive(
    path: Path, max_objects: int, max_text: int
) -> Tuple[Dict[str, Dict[str, Any]], Dict[str, np.ndarray]]:
    """(attributes by place, arrays by place), as hdf5_guard.read_tree gives them.

    Arrays are slices of one read-only map of the archive. Raises UnsafeFile, or what zipfile, struct
    and json raise on damage.
    """
    with zipfile.ZipFile(str(path)) as archive:
        members = archive.infolist()
        _check_members(members, path.stat().st_size, max_objects, max_text)
        attributes = json.loads(archive.read(META).decode())
    if not isinstance(attributes, dict) or not all(
        isinstance(found, dict) for found in attributes.values()
    ):
        raise UnsafeFile("no attributes")
    data = np.memmap(str(path), np.uint8, "r")
    arrays = {
        member.filename[: -len(".npy")]: _array(np.asarray(data), member)
        for member in members
        if member.filename != META
    }
    return attributes, arrays


def _check_members(
    members: List[zipfile.ZipInfo], size: int, max_objects: int, max_text: int
) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or len(names) > max_objects:
        raise UnsafeFile("the archive names a member twice, or far too many")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise UnsafeFile(f"{member.filename}: compressed; a dump's members are stored")
        if member.flag_bits & ~0x800:
            raise UnsafeFile(
                f"{member.filename}: encrypted or streamed; a dump's members are plain"
            )
        if member.filename != META and not member.filename.endswith(".npy"):
            raise UnsafeFile(f"{member.filename}: not an array")
        if member.filename == META and member.file_size > max_text:
            raise UnsafeFile("more attribute text than any net needs")
    if sum(member.file_size for member in members) > size:
        raise UnsafeFile("the members overlap")


def _array(data: np.ndarray, member: zipfile.ZipInfo) -> np.ndarray:
    """A member as an array: a slice of the mapped archive whose checksum holds."""
    start = member.header_offset
    name, extra = struct.unpack("<HH", data[start + 26 : start + 30].tobytes())
    start += 30 + name + extra
    body = data[start : start + member.file_size]
    checksum = 0
    for block in blocks(body):
        checksum = zlib.crc32(block, checksum)
    if body.size != member.file_size or checksum != member.CRC:
        raise UnsafeFile(f"{member.filename}: damaged (its checksum differs)")
    head = body[:10].tobytes()
    if head[:8] != NPY_MAGIC:
        raise UnsafeFile(f"{member.filename}: not an array in NPY's version 1.0")
    end = 10 + struct.unpack("<H", head[8:])[0]
    match = _NPY_HEAD.match(body[10:end].tobytes())
    if match is None:
        raise UnsafeFile(f"{member.filename}: not an array of little-endian float32 in C order")
    shape = tuple(int(part) for part in match[1].split(b",") if part.strip())
    count = 1
    for axis in shape:
        count *= axis
    if len(shape) > 32 or count * 4 != body.size - end:
        raise UnsafeFile(f"{member.filename}: its shape does not fit its size")
    array = body[end:].view("<f4").reshape(shape)
    array.setflags(write=False)
    return array
