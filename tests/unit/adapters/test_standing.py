"""Which object stands where several files give it: whatever happens, the events lead there."""

from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.adapters.files.standing import Standing, last_of
from exabgp_metallb.adapters.source import Gone, Put
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import Namespace
from exabgp_metallb.values.specs import Parsed

FILES = ("a.yaml", "a/b.yaml", "b.yaml")  # in name order: a/b.yaml, a.yaml, b.yaml
names = st.sampled_from(["one", "two", "three"])
contents = st.dictionaries(names, st.sampled_from(["red", "blue"]))
changes = st.lists(st.dictionaries(st.sampled_from(FILES), contents, min_size=1), max_size=20)


def namespace(name: str, colour: str) -> Parsed:
    """Return an object of which there are two versions."""
    return Parsed(
        ObjectRef("Namespace", "", name), Namespace(name, frozenset({("colour", colour)}))
    )


@given(changes)
def test_following_the_events_leaves_what_stands(changes: list[dict[str, dict[str, str]]]) -> None:
    """And what stands is what the last file in name order gives."""
    standing = Standing()
    followed: dict[ObjectRef, Parsed] = {}
    files: dict[str, dict[str, str]] = {}
    for change in changes:
        files |= change
        given_now = {
            file: {(one := namespace(name, colour)).ref: one for name, colour in content.items()}
            for file, content in change.items()
        }
        for event in standing.change(given_now):
            match event:
                case Put(object=parsed):
                    assert followed.get(parsed.ref) != parsed
                    followed[parsed.ref] = parsed
                case Gone(ref=ref):
                    del followed[ref]
        assert standing.objects() == tuple(followed[ref] for ref in sorted(followed))
        merged: dict[str, str] = {}
        for file in ("a/b.yaml", "a.yaml", "b.yaml"):
            merged |= files.get(file, {})
        assert {(p.ref.name, p.value) for p in followed.values()} == {
            (name, namespace(name, colour).value) for name, colour in merged.items()
        }


def test_an_object_that_is_as_it_was_stays_the_very_one() -> None:
    """Whoever holds it holds it once."""
    standing = Standing()
    before = namespace("one", "red")
    standing.change({"a.yaml": {before.ref: before}})
    same = namespace("one", "red")
    assert standing.change({"a.yaml": {same.ref: same}}) == []
    assert standing.objects()[0] is before


def test_mistakes_without_a_name_do_not_hide_each_other() -> None:
    """They have one reference, and it is nobody's."""
    nobody = ObjectRef("", "metallb-system", "")
    faults = [Fault(nobody, "", word) for word in ("first", "second")]
    mistakes = [Parsed(nobody, None, (fault,)) for fault in faults]
    assert last_of(mistakes).faults == tuple(faults)
    standing = Standing()
    standing.change({f"{number}.yaml": {nobody: one} for number, one in enumerate(mistakes)})
    assert standing.objects() == (Parsed(nobody, None, tuple(faults)),)
