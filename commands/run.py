"""How every command ends: exit codes, the last line of stderr, the one JSON object on stdout."""

from __future__ import annotations

import errno
import json
import re
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from typer.exceptions import TyperException

from decant.loader.errors import DecantError, UsageError

BUG, INTERRUPTED, TERMINATED = 1, 130, 143
# not our bugs: a full disk, a folder that cannot be written
PLACES = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT,
    errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip


class Terminated(BaseException):
    """SIGTERM, as an exception: `finally` clauses remove containers and half-written files."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    # a second signal must not interrupt the cleaning up that the first one started
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def run(command: Callable[[], Any], as_json: bool) -> int:
    """Run one command to its exit code. `as_json`: failures are an object on stdout as well.

    Our own mistakes keep their traceback and end in 1.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        # typer turns Ctrl-C into an exit code that it returns
        if command() == INTERRUPTED:
            raise KeyboardInterrupt
        if sys.stdout is not None:
            sys.stdout.flush()
    except DecantError as error:
        return _fail(as_json, error.code, error.message, error.details)
    except TyperException as error:
        return _usage(error, as_json)
    except KeyboardInterrupt:
        return _fail(as_json, INTERRUPTED, "interrupted: nothing half-written was left", [])
    except Terminated:
        return _fail(as_json, TERMINATED, "terminated: nothing half-written was left", [])
    except SystemExit as ended:
        # typer ends the program with 1 when the reader of our stdout has gone
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        sys.stderr.close()
        return 0
    except BrokenPipeError:
        # the reader of our stdout has gone (`decant list | head`): nobody is left to tell
        sys.stderr.close()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PLACES:
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror}; name another place (--out, DECANT_CACHE)"
            return _fail(as_json, UsageError.code, message, [])
        traceback.print_exc()
        return _fail(
            as_json,
            BUG,
            f"{type(error).__name__}: {error}; this is a bug in Decant; please report it with the "
            "command and the traceback",
            [],
        )
    return 0


def _usage(error: TyperException, as_json: bool) -> int:
    said = _other_word(error.format_message())
    message = f"{said} (decant --help lists the commands and their options)"
    return _fail(as_json, UsageError.code, message, [])


def _other_word(said: str) -> str:
    """What Typer says of a word that an option does not take, as `--device 'gpu': one of cpu, cuda`."""
    pattern = r"Invalid value for '(--[\w-]+)': (?:Value error, )?(.+) is not one of (.+?)\.?"
    found = re.fullmatch(pattern, said)
    return f"{found[1]} {found[2]}: one of {found[3].replace(chr(39), '')}" if found else said


def _fail(as_json: bool, code: int, message: str, details: list[str]) -> int:
    # a single one is in the message already
    for line in details if len(details) > 1 or "".join(details) not in message else ():
        print(f"  {line}", file=sys.stderr)
    print(f"error: {message}", file=sys.stderr)
    if as_json:
        # a full disk may be what failed
        with suppress(OSError):
            emit({"ok": False, "code": code, "error": message, "details": details})
            sys.stdout.flush()
    return code


def emit(result: dict[str, Any]) -> None:
    """Print the one JSON object that `--json` promises."""
    print(json.dumps(result, indent=1, ensure_ascii=False, default=str))
