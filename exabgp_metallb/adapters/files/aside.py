"""Files that are never seen half-written."""

import os
from pathlib import Path


def write_aside(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file under another name beside it, then rename it into place.

    Args:
        path: of the file; its folder must exist.
        data: all of it.
        mode: permissions, such as 0o600; in force before the first byte is written.

    Raises:
        OSError: nothing was replaced.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
