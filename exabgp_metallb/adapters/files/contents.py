"""The bytes of a manifest -> its objects, with errors that name the file and the line."""

from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing import objects
from exabgp_metallb.parsing.text import TextError, documents
from exabgp_metallb.values.specs import Parsed


def parse(data: bytes, place: str, *, home: str) -> list[Parsed]:
    """Return the objects in a file, in its order; those of kinds that we do not use are left out.

    Args:
        data: YAML or JSON; documents, Lists, or both.
        place: how messages name the file.
        home: the namespace of objects of the operator that name none: the install namespace.

    Raises:
        SourceError: this is no text, or neither YAML nor JSON.
    """
    try:
        found = documents(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte {data[error.start]:#04x} is not UTF-8: save the file in that encoding"
        raise SourceError(f"{place}: line {line}: {message}") from error
    except TextError as error:
        raise SourceError(f"{place}: {error}") from error
    parsed: list[Parsed] = []
    while found:
        raws = objects.items(found.pop(0))
        raws.reverse()
        while raws:  # what has been parsed is let go: a big List may take 100 MiB as it is
            if one := objects.parse(raws.pop(), home=home):
                parsed.append(one)
    return parsed
