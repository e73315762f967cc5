"""Label selectors: rules 1 to 4 of MetalLB's parser, and what Kubernetes refuses."""

import pytest
from hypothesis import given

from exabgp_metallb.parsing.fields import Fields, Report
from exabgp_metallb.parsing.selectors import selector, selectors
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from tests.strategies import json_values
from tests.unit.parsing.manifests import by_field


def opened(raw: object) -> Fields:
    """Open a spec with a report of its own."""
    return Fields({"s": raw}, Report(ObjectRef("L2Advertisement", "metallb-system", "it")))


def expression(key: object, operator: object, *values: object) -> dict[str, object]:
    """Return one of a selector's matchExpressions."""
    raw = {"key": key, "operator": operator}
    return {**raw, "values": list(values)} if values else raw


def test_a_selector_with_everything() -> None:
    """Values are sorted, so that equal selectors are equal values."""
    raw = {
        "matchLabels": {"app": "web", "empty": ""},
        "matchExpressions": [
            expression("rack", "In", "b", "a"),
            expression("example.org/zone", "NotIn", "x"),
            expression("gpu", "Exists"),
            expression("old", "DoesNotExist"),
        ],
    }
    fields = opened([raw, {}])
    assert selectors(fields, "s") == (
        LabelSelector(
            frozenset({("app", "web"), ("empty", "")}),
            (
                Requirement("rack", Operator.IN, ("a", "b")),
                Requirement("example.org/zone", Operator.NOT_IN, ("x",)),
                Requirement("gpu", Operator.EXISTS),
                Requirement("old", Operator.DOES_NOT_EXIST),
            ),
        ),
        LabelSelector(),
    )
    assert fields.report.faults == []


def expressions(*raws: object) -> list[object]:
    """Return a list with one selector of such expressions."""
    return [{"matchExpressions": list(raws)}]


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        pytest.param(
            [{"matchLabels": {"a": "b"}}, {}, {"matchLabels": {"a": "b"}}],
            "s[2]",
            "the same selector as [0]",
            id="1-same-selector",
        ),
        pytest.param(
            [
                {"matchExpressions": [expression("a", "In", "x", "y")]},
                {"matchExpressions": [expression("a", "In", "y", "x")]},
            ],
            "s[1]",
            "the same selector as [0]",
            id="1-same-after-sorting-values",
        ),
        pytest.param(
            [
                {"matchExpressions": [expression("a", "Exists"), expression("b", "Exists")]},
                {"matchExpressions": [expression("b", "Exists"), expression("a", "Exists")]},
            ],
            "s[1]",
            "the same selector as [0]",
            id="1-same-in-another-order",
        ),
        pytest.param([{}, {}], "s[1]", "the same selector as [0]", id="1-both-empty"),
        pytest.param(
            expressions(expression("a", "In", "x", "y"), expression("a", "In", "y", "x")),
            "s[0].matchExpressions[1]",
            "the same expression",
            id="2-same-expression",
        ),
        pytest.param(
            expressions(expression("a", "In", "x", "x")),
            "s[0].matchExpressions[0].values[1]",
            "'x': stands in [0] too",
            id="3-repeated-value",
        ),
        pytest.param(
            expressions(expression("a", "in", "x")),
            "s[0].matchExpressions[0].operator",
            "'in': write In, NotIn, Exists or DoesNotExist",
            id="4-operator",
        ),
        pytest.param(
            expressions({"operator": "Exists"}),
            "s[0].matchExpressions[0].key",
            "missing",
            id="4-no-key",
        ),
        pytest.param(
            expressions({"key": "a"}),
            "s[0].matchExpressions[0].operator",
            "missing",
            id="4-no-operator",
        ),
        pytest.param(
            expressions(expression("a b", "Exists")),
            "s[0].matchExpressions[0].key",
            "'a b': write a label key",
            id="4-key",
        ),
        pytest.param(
            expressions(expression("A_B/c", "Exists")),
            "s[0].matchExpressions[0].key",
            "'A_B/c': write a label key: the part before '/'",
            id="4-prefix-of-a-key",
        ),
        pytest.param(
            expressions(expression("a", "In")),
            "s[0].matchExpressions[0].values",
            "missing: In needs at least one",
            id="4-in-without-values",
        ),
        pytest.param(
            expressions(expression("a", "Exists", "x")),
            "s[0].matchExpressions[0].values",
            "Exists takes none",
            id="4-exists-with-values",
        ),
        pytest.param(
            expressions(expression("a", "In", "x y")),
            "s[0].matchExpressions[0].values[0]",
            "'x y': write a label value",
            id="4-value",
        ),
        pytest.param(
            [{"matchLabels": {"a": 5}}],
            "s[0].matchLabels.a",
            "5: write a text in quotes",
            id="label-number",
        ),
        pytest.param(
            [{"matchLabels": {"a": "x" * 64}}],
            "s[0].matchLabels.a",
            "write a label value",
            id="label-value",
        ),
        pytest.param(
            [{"matchLabels": {"a b": "x"}}],
            "s[0].matchLabels[a b]",
            "write a label key",
            id="label-key",
        ),
        pytest.param([None], "s[0]", "null: write a mapping", id="null-in-a-list"),
        pytest.param("a=b", "s", "'a=b': write a list", id="text"),
    ],
)
def test_what_is_refused(raw: object, field: str, words: str) -> None:
    """One fault, at its place."""
    fields = opened(raw)
    selectors(fields, "s")
    told = by_field(tuple(fields.report.faults))
    assert list(told) == [field]
    assert words in told[field]


@given(json_values)
def test_anything_is_read_or_refused(raw: object) -> None:
    """No value gets an exception out of a selector."""
    selectors(opened(raw), "s")
    selectors(opened([raw]), "s")
    selector(opened({"matchExpressions": [raw], "matchLabels": {"a": raw}}).child("s"))
