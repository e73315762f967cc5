"""Labels and the selectors over them (meta/v1 LabelSelector)."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

Labels = frozenset[tuple[str, str]]
"""The labels of an object as (key, value) pairs: hashable, and `matchLabels` is a subset test."""


class Operator(enum.StrEnum):
    """Operators of a LabelSelectorRequirement (meta/v1)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of a selector's matchExpressions. `values` is sorted; empty for the Exists operators."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Tell whether the labels meet the requirement."""
        if self.operator is Operator.EXISTS:
            return any(key == self.key for key, _ in labels)
        if self.operator is Operator.DOES_NOT_EXIST:
            return all(key != self.key for key, _ in labels)
        found = any((self.key, value) in labels for value in self.values)
        return found if self.operator is Operator.IN else not found


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A selector: all of its parts must hold; without parts it matches everything."""

    match_labels: Labels = frozenset()
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Tell whether the labels meet every part."""
        return self.match_labels <= labels and all(r.matches(labels) for r in self.requirements)


def any_matches(selectors: Iterable[LabelSelector], labels: Labels) -> bool:
    """Tell whether one of the selectors matches. MetalLB's lists of selectors are OR-ed."""
    return any(selector.matches(labels) for selector in selectors)
