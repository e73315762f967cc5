"""Which object stands where several files may give the same one: the last in name order.

Nothing is held but what the files gave; what stands is looked up. A file that changes costs as much
as it holds, however many others there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from exabgp_metallb.adapters.files.tree import name_order
from exabgp_metallb.adapters.source import Gone, Put
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.specs import Parsed

Given = Mapping[ObjectRef, Parsed]
"""The objects of one file."""


def doubled(ref: ObjectRef, files: Iterable[str]) -> Fault:
    """Return the warning for an object that files give more than once; the last of them counts."""
    where = " and ".join(dict.fromkeys(files))
    return Fault(ref, "", f"it stands more than once, in {where}: the last one counts; keep one")


def last_of(same: Sequence[Parsed]) -> Parsed:
    """Return the one that stands of objects with one reference, in the order they were read.

    What has no name is no object but a mistake; of mistakes each one stands.
    """
    last = same[-1]
    if last.ref.name or len(same) == 1:
        return last
    return replace(last, faults=tuple(fault for parsed in same for fault in parsed.faults))


def warned(parsed: Parsed, files: Sequence[str]) -> Parsed:
    """Return the object with a warning that all of these files give it."""
    if not parsed.ref.name:
        return parsed
    return replace(parsed, warnings=(*parsed.warnings, doubled(parsed.ref, files)))


class Standing:
    """The objects of all files."""

    def __init__(self) -> None:
        self._given: dict[str, Given] = {}
        self._files: dict[ObjectRef, tuple[str, ...]] = {}  # who gives an object, in name order

    def objects(self) -> tuple[Parsed, ...]:
        """Return what stands, in order of reference."""
        return tuple(parsed for ref in sorted(self._files) if (parsed := self._object(ref)))

    def given(self, file: str) -> Given:
        """Return what a file gives."""
        return self._given.get(file, {})

    def change(self, files: Mapping[str, Given]) -> list[Put | Gone]:
        """Let files give other objects than before, or none, and return what that changes."""
        refs = {ref for file, new in files.items() for ref in (*self.given(file), *new)}
        before = {ref: self._object(ref) for ref in sorted(refs)}
        for file, new in files.items():
            self._replace(file, new)
        after = {ref: self._object(ref) for ref in before}
        puts = [Put(new) for ref, new in after.items() if new and new != before[ref]]
        gone = [Gone(ref) for ref, new in after.items() if not new and before[ref]]
        return [*puts, *gone]  # what an object moved to comes before what it left goes

    def _object(self, ref: ObjectRef) -> Parsed | None:
        files = self._files.get(ref)
        if files is None:
            return None
        parsed = last_of([self._given[file][ref] for file in files])
        return parsed if len(files) == 1 else warned(parsed, files)

    def _replace(self, file: str, new: Given) -> None:
        old = self.given(file)
        for ref in old.keys() - new.keys():
            self._set_files(ref, [f for f in self._files[ref] if f != file])
        for ref in new.keys() - old.keys():
            self._set_files(ref, [*self._files.get(ref, ()), file])
        if new:
            # An object that is as it was stays the very one that others hold too.
            same = {ref: old[ref] for ref in new if ref in old and old[ref] == new[ref]}
            self._given[file] = {**new, **same}
        else:
            self._given.pop(file, None)

    def _set_files(self, ref: ObjectRef, files: list[str]) -> None:
        if files:
            self._files[ref] = tuple(sorted(files, key=name_order))
        else:
            self._files.pop(ref, None)
