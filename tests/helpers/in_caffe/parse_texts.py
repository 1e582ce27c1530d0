"""Run in the Caffe image: `parse_texts.py FOLDER`. What Caffe's own C++ text parser says of each text.

texts.json (a list) -> answers.json: for each [taken, what protobuf wrote on stderr, the message as
text]. Calls ReadProtoFromTextFile and WriteProtoToTextFile (util/io.cpp) of libcaffe itself: Python's
parser of the same format takes other texts.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

SIZE = 4096  # of a NetParameter and more


def library() -> Any:
    found = ctypes.CDLL("libcaffe.so.1.0.0")
    made = found._ZN5caffe12NetParameterC1EPN6google8protobuf5ArenaE
    made.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    read = found._ZN5caffe21ReadProtoFromTextFileEPKcPN6google8protobuf7MessageE
    read.argtypes, read.restype = [ctypes.c_char_p, ctypes.c_void_p], ctypes.c_bool
    write = found._ZN5caffe20WriteProtoToTextFileERKN6google8protobuf7MessageEPKc
    write.argtypes, write.restype = [ctypes.c_void_p, ctypes.c_char_p], None
    return made, read, write


def main(folder: Path) -> None:
    make, read, write = library()
    net = ctypes.create_string_buffer(SIZE)
    make(net, None)
    text, printed, errors = (folder / name for name in ("net.prototxt", "printed", "errors"))
    os.dup2(os.open(str(errors), os.O_RDWR | os.O_CREAT | os.O_APPEND), 2)
    answers = []
    for given in json.loads((folder / "texts.json").read_text()):
        text.write_bytes(given.encode("utf-8", "surrogateescape"))
        before = errors.stat().st_size
        taken = read(os.fsencode(str(text)), net)
        if taken:
            write(net, os.fsencode(str(printed)))
        said = errors.read_bytes()[before:].decode("utf-8", "replace")
        shown = printed.read_text("utf-8", "surrogateescape") if taken else ""
        answers.append([taken, said, shown])
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
