"""The index of shared addresses finds what a walk over all of them finds."""

from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.allocation.sharing import Group, Holding, Terms, terms_of
from exabgp_metallb.values.objects import ObjectName, ServicePort
from tests.unit.decisions.builders import TCP_80, TCP_443, UDP_80, labels, service

PORTS = (TCP_80, TCP_443, UDP_80)
port_sets = st.sets(st.sampled_from(PORTS), min_size=1).map(lambda drawn: tuple(sorted(drawn)))
steps = st.lists(
    st.tuples(st.sampled_from(["hold", "release", "ask"]), st.integers(0, 9), port_sets),
    max_size=60,
)


@given(steps)
def test_the_lowest_shareable_place_is_what_a_scan_finds(
    steps: list[tuple[str, int, tuple[ServicePort, ...]]],
) -> None:
    """However addresses join and leave and ports come and go."""
    group, held = Group(), dict[int, Holding]()
    for number, (what, place, ports) in enumerate(steps):
        name = ObjectName("default", str(number))
        if what == "hold" and place not in held:
            held[place] = Holding(("k", frozenset()))
            group.join(place, held[place])
            held[place].add(name, ports)
        elif what == "hold" and held[place].ports.keys().isdisjoint(ports):
            held[place].add(name, ports)
        elif what == "release" and place in held:
            _release_first(group, held, place)
        lowest = [p for p in sorted(held) if held[p].ports.keys().isdisjoint(ports)]
        assert group.lowest(ports) == next(iter(lowest), None)
        assert len(group) == len(held)


def _release_first(group: Group, held: dict[int, Holding], place: int) -> None:
    holding = held[place]
    name = min(holding.holders)
    ports = [port for port, holder in holding.ports.items() if holder == name]
    holding.remove(name, ports)
    group.loosen(place, ports)
    if not holding.holders:
        group.leave(place)
        del held[place]


def test_the_log_of_joined_places_does_not_grow_for_ever() -> None:
    """One address that comes and goes costs no memory, and is found each time."""
    group, holding = Group(), Holding(("k", frozenset()))
    for _ in range(1000):
        group.join(7, holding)
        assert group.lowest((TCP_80,)) == 7
        group.leave(7)
    assert len(group._joined) <= 65


def test_the_terms_of_a_service() -> None:
    """The selector counts under Local only; an absent key and an empty one are the same."""
    web = labels("app=web")
    assert terms_of(service(key="k", local=True, selector=web)) == Terms((TCP_80,), "k", web)
    assert terms_of(service(key="k", selector=web)) == Terms((TCP_80,), "k", frozenset())
    assert terms_of(service()).key == ""
