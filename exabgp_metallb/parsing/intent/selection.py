"""Which of many labelled objects a list of selectors picks.

Asking every selector about every object costs their product; here each label and each key has the
set of its objects, and a selector is an intersection of such sets that starts from the smallest.
"""

from collections.abc import Iterable, Mapping, Sequence

from exabgp_metallb.values.labels import Labels, LabelSelector, Operator, Requirement

Names = frozenset[str]

_NONE: Names = frozenset()


class LabelIndex:
    """Objects by their labels.

    Attributes:
        everything: the names of all objects. A pick that holds all of them is this very set, so
            that thousands of selectors without conditions share one.
    """

    def __init__(self, labels: Mapping[str, Labels]) -> None:
        self.everything: Names = frozenset(labels)
        self._with: dict[tuple[str, str], set[str]] = {}
        self._having: dict[str, set[str]] = {}
        self._picked: dict[tuple[LabelSelector, ...], Names] = {}
        for name, pairs in labels.items():
            for key, value in pairs:
                self._with.setdefault((key, value), set()).add(name)
                self._having.setdefault(key, set()).add(name)

    def pick(self, selectors: Sequence[LabelSelector]) -> Names:
        """Return the objects that one of the selectors matches; none for no selectors."""
        key = tuple(selectors)
        if key not in self._picked:
            picked = _NONE.union(*map(self._matching, key))
            self._picked[key] = self.everything if len(picked) == len(self.everything) else picked
        return self._picked[key]

    def _matching(self, selector: LabelSelector) -> Names:
        wanted: list[Iterable[str]] = [self._with.get(p, _NONE) for p in selector.match_labels]
        unwanted: list[Iterable[str]] = []
        for requirement in selector.requirements:
            negative = requirement.operator in (Operator.NOT_IN, Operator.DOES_NOT_EXIST)
            (unwanted if negative else wanted).append(self._named_by(requirement))
        found = sorted((frozenset(names) for names in wanted), key=len)
        first, *rest = found or [self.everything]
        return first.intersection(*rest).difference(*unwanted)

    def _named_by(self, requirement: Requirement) -> Iterable[str]:
        """Return the objects that have what a requirement asks for or rules out."""
        if requirement.operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
            return self._having.get(requirement.key, _NONE)
        return _NONE.union(
            *(self._with.get((requirement.key, v), _NONE) for v in requirement.values)
        )
