"""Hypothesis strategies that several tests share."""

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

Json = object
Path = tuple[str | int, ...]

json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
json_values: st.SearchStrategy[Json] = st.recursive(
    json_scalars,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
"""Any value that JSON can hold."""

label_words = st.sampled_from(["app", "tier", "rack", "web", "db", "a", "b"])
labels = st.dictionaries(label_words, label_words, max_size=3)


def places(value: Json, here: Path = ()) -> list[Path]:
    """Return the path of every value inside a JSON tree, the tree itself first."""
    found = [here]
    if isinstance(value, Mapping):
        for key, child in value.items():
            found += places(child, (*here, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            found += places(child, (*here, index))
    return found


def with_value(tree: Json, path: Path, value: Json) -> Json:
    """Return a copy of a JSON tree with another value at one path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(tree, dict):
        return {**tree, step: with_value(tree[step], rest, value)}
    assert isinstance(tree, list)
    assert isinstance(step, int)
    return [*tree[:step], with_value(tree[step], rest, value), *tree[step + 1 :]]


@st.composite
def mutated(draw: st.DrawFn, trees: Sequence[Json]) -> Json:
    """One of the trees with one place in it replaced by anything."""
    tree = draw(st.sampled_from(trees))
    path = draw(st.sampled_from(places(tree)))
    return with_value(tree, path, draw(json_values))
