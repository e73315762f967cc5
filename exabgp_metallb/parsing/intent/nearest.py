"""What somebody may have meant by a name that does not exist.

Two names are near when one letter was left out, added, changed, or swapped with the next. All of
these leave equal names once a letter is taken out of each, so the names are filed under what they
become with one letter less: a look-up costs the length of the name and not the number of names.
"""

from collections.abc import Iterable, Iterator

from exabgp_metallb.parsing.fields import shown

MAX_NAMES = 1000  # beyond it a guess is chance, and the file of shortened names is no longer small
MAX_LENGTH = 63  # of a DNS label


class Nearest:
    """The names that exist, filed for guesses; filled at the first question."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._shortened: dict[str, list[str]] | None = None

    def hint(self, name: str) -> str:
        """Return `, did you mean 'web'?`, or nothing where no name is near."""
        if len(name) > MAX_LENGTH or len(self._names) > MAX_NAMES:
            return ""
        if self._shortened is None:
            self._shortened = {}
            for known in self._names:
                for short in _shortened(known):
                    self._shortened.setdefault(short, []).append(known)
        near = [k for short in _shortened(name) for k in self._shortened.get(short, ())]
        return f", did you mean {shown(min(near))}?" if near else ""


def _shortened(name: str) -> Iterator[str]:
    """Yield a name, and all that it becomes with one letter less; in lower case."""
    name = name.lower()[: MAX_LENGTH + 1]
    yield name
    for i in range(len(name)):
        yield name[:i] + name[i + 1 :]
