"""Manifests in, a document out: what commands that only look have in common."""

import io
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO, TypeVar

from exabgp_metallb.cli.group import REJECTED, VALID

if TYPE_CHECKING:
    from exabgp_metallb.programs.decided import Question
    from exabgp_metallb.programs.plan_format import CheckDocument
    from exabgp_metallb.values.faults import Fault
    from exabgp_metallb.values.specs import Parsed

_Document = TypeVar("_Document", bound=Mapping[str, object])


def read(
    files: tuple[str, ...], question: "Question"
) -> tuple[tuple["Parsed", ...], "Question", tuple["Fault", ...]]:
    """Return what the programs take: the objects, the question, and warnings of the reader."""
    from exabgp_metallb.adapters.files.manifests import read  # noqa: PLC0415 -- see the package

    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
    objects, warnings = read(files, stdin, namespace=question.namespace)
    return objects, question, warnings


def trees(files: tuple[str, ...]) -> list[object]:
    """Return the documents in files as they were written."""
    from exabgp_metallb.adapters.files import contents, manifests  # noqa: PLC0415 -- see the package

    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
    found = manifests.contents(files, stdin)
    return [tree for place, data in found for tree in contents.trees(data, place)]


def print_document(
    document: _Document, form: str, as_tables: Callable[[_Document, TextIO], str]
) -> None:
    """Print a document in the form that was asked for."""
    from exabgp_metallb.programs import terminal  # noqa: PLC0415 -- see the package

    if sys.stdout is None:  # closed by the caller: the exit code is all that is asked for
        return
    if form == "json":
        text = terminal.json_text(document)
    elif form == "yaml":
        text = terminal.yaml_text(document)
    else:
        text = as_tables(document, sys.stdout)
    terminal.write(text)


def verdict(document: "CheckDocument") -> int:
    """Return the exit code for a document of `plan` or `check`."""
    return VALID if document["valid"] else REJECTED
