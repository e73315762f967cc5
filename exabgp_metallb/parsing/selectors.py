"""Label selectors (meta/v1 LabelSelector), singly and in MetalLB's lists of them.

Keys, operators and values are checked as Kubernetes does when it makes a selector of them
(apimachinery's labels.NewRequirement); that nothing stands twice, as MetalLB does.
"""

import re

from exabgp_metallb.parsing.fields import Fields
from exabgp_metallb.parsing.scalars import object_name
from exabgp_metallb.values.labels import Labels, LabelSelector, Operator, Requirement

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_OPERATORS = {operator.value: operator for operator in Operator}
_WITH_VALUES = (Operator.IN, Operator.NOT_IN)


def label_key(text: str) -> str:
    """Return a label's key: a name, or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    try:
        if slash:
            object_name(prefix)
    except ValueError:
        raise ValueError("write a label key: the part before '/' is a domain name") from None
    if not _NAME.fullmatch(name):
        raise ValueError("write a label key: at most 63 letters, digits, '-', '_' and '.'")
    return text


def label_value(text: str) -> str:
    """Return a label's value; it may be empty."""
    if text and not _NAME.fullmatch(text):
        raise ValueError("write a label value: at most 63 letters, digits, '-', '_' and '.'")
    return text


def selectors(parent: Fields, key: str) -> tuple[LabelSelector, ...]:
    """Read a list of selectors, which MetalLB ORs; no two may be the same."""
    found: dict[object, int] = {}
    result = []
    for index, fields in enumerate(parent.children(key)):
        value = selector(fields)
        first = found.setdefault(_identity(value), index)
        if first != index:
            parent.report.fault(fields.path, f"the same selector as [{first}]: remove one")
        result.append(value)
    return tuple(result)


def selector(fields: Fields) -> LabelSelector:
    """Read one selector; without parts it matches everything."""
    requirements = []
    for part in fields.children("matchExpressions"):
        requirement = _requirement(part)
        if requirement is None:
            continue
        if requirement in requirements:
            fields.report.fault(part.path, "the same expression stands before: remove one")
        requirements.append(requirement)
    return LabelSelector(_match_labels(fields), tuple(requirements))


def _identity(value: LabelSelector) -> object:
    """Return what two selectors have in common that say the same in another order."""
    return (value.match_labels, frozenset(value.requirements))


def _match_labels(fields: Fields) -> Labels:
    labels = fields.child("matchLabels")
    for key in labels.names():
        _check(labels, key, key)
        value = labels.get(key)
        if not isinstance(value, str):
            labels.refuse(key, "write a text in quotes")
            continue
        try:
            label_value(value)
        except ValueError as error:
            labels.refuse(key, str(error))
    return frozenset((k, str(labels.get(k))) for k in labels.names())


def _check(labels: Fields, key: str, text: str) -> None:
    try:
        label_key(text)
    except ValueError as error:
        labels.fault(key, str(error))


def _requirement(fields: Fields) -> Requirement | None:
    fields.require("key", "operator")
    key = fields.parsed("key", label_key)
    operator = fields.parsed("operator", _operator)
    values = fields.all_parsed("values", label_value)
    fields.distinct("values")
    if key is None or operator is None:
        return None
    if operator in _WITH_VALUES and not fields.sequence("values"):
        fields.fault("values", f"missing: {operator} needs at least one")
    if operator not in _WITH_VALUES and fields.sequence("values"):
        fields.fault("values", f"{operator} takes none: remove them, or write In or NotIn")
    return Requirement(key, operator, tuple(sorted(values)))


def _operator(text: str) -> Operator:
    if text not in _OPERATORS:
        raise ValueError("write In, NotIn, Exists or DoesNotExist")
    return _OPERATORS[text]
