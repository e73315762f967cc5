"""The bytes of a manifest -> its objects, with errors that name the file and the line.

An object of JSON is parsed as soon as its end is read, and only its value is kept: the tree of a
List with ten thousand Services takes 60 MiB, which a process does not get rid of again. Everything
else is parsed once the whole file is read.
"""

from dataclasses import dataclass
from functools import partial

from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing import objects
from exabgp_metallb.parsing.text import Each, TextError, documents
from exabgp_metallb.values.specs import Parsed


@dataclass(frozen=True, slots=True)
class _Read:
    """What stands in the place of an object that was parsed already; None: it is not used."""

    parsed: Parsed | None


def parse(data: bytes, place: str, *, home: str) -> list[Parsed]:
    """Return the objects in a file, in its order; those of kinds that we do not use are left out.

    Args:
        data: YAML or JSON; documents, Lists, or both.
        place: how messages name the file.
        home: the namespace of objects of the operator that name none: the install namespace.

    Raises:
        SourceError: this is no text, or neither YAML nor JSON.
    """
    found = trees(data, place, each=partial(_read_early, home=home))
    parsed: list[Parsed] = []
    while found:
        raws = objects.items(found.pop(0))
        raws.reverse()
        while raws:  # what has been parsed is let go
            raw = raws.pop()
            one = raw.parsed if isinstance(raw, _Read) else objects.parse(raw, home=home)
            if one is not None:
                parsed.append(one)
    return parsed


def trees(data: bytes, place: str, *, each: Each | None = None) -> list[object]:
    """Return the documents in a file as they were written.

    Args:
        data: YAML or JSON.
        place: how messages name the file.
        each: makes something else of each mapping of JSON as it is read.

    Raises:
        SourceError: this is no text, or neither YAML nor JSON.
    """
    try:
        return documents(data.decode(), each=each)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte {data[error.start]:#04x} is not UTF-8: save the file in that encoding"
        raise SourceError(f"{place}: line {line}: {message}") from error
    except TextError as error:
        raise SourceError(f"{place}: {error}") from error


def _read_early(raw: dict[str, object], *, home: str) -> object:
    """Parse what is a whole object by its looks, and no list of others."""
    if "apiVersion" in raw and "metadata" in raw and "kind" in raw and not objects.is_list(raw):
        return _Read(objects.parse(raw, home=home))
    return raw
