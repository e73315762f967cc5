"""Hypothesis strategies for specs that are right, or nearly so, in every field that there is."""

from typing import Any

from hypothesis import strategies as st

from tests.kube.crd_cases import PEER, Spec

octets = st.sampled_from([0, 1, 9, 10, 99, 127, 192, 224, 255, 256])
v4 = st.tuples(octets, octets, octets, octets).map(lambda o: ".".join(map(str, o)))
hextets = st.lists(st.sampled_from(["0", "1", "fd00", "fe80", "ff02", "FFFF", "g"]), max_size=4)
v6 = st.builds(lambda a, b: f"{':'.join(a)}::{':'.join(b)}", hextets, hextets)
addresses = st.one_of(
    v4,
    v6,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "router", "fe80::1%eth0", "", "::1"]),
)
lengths = st.sampled_from(["0", "08", "8", "24", "32", "33", "64", "128", "129", "-1", "x", ""])
entries = st.one_of(
    st.builds("{}/{}".format, addresses, lengths),
    st.builds("{}{}{}".format, addresses, st.sampled_from(["-", " - ", "--"]), addresses),
    st.sampled_from(["192.0.2.0/24", "2001:db8::/64", "10.0.0.1-10.0.0.9", "10.0.0.1"]),
)
amounts = st.sampled_from(
    ["0", "1", "2", "2.9", "3", ".5", "5.", "90", "65535", "65536", "999999", ""]
)
units = st.sampled_from(["ns", "us", "µs", "ms", "s", "s", "s", "m", "h", "", "d"])
durations = st.builds(
    lambda sign, parts: sign + "".join(f"{amount}{unit}" for amount, unit in parts),
    st.sampled_from(["", "", "", "+", "-"]),
    st.lists(st.tuples(amounts, units), min_size=1, max_size=2),
)
edges = [0, 9, 10, 32, 64, 100, 128, 254, 255, 60000, 65535, 2**31 - 1, 2**32 - 1]
numbers = st.sampled_from([-1, *edges, *(edge + 1 for edge in edges)])
asns = st.sampled_from([0, 1, 64512, 64512, 64513, 2**32 - 1, 2**32])
parts = st.sampled_from(["0", "1", "65535", "65536", "4294967295", "4294967296", "large", "rt", ""])
communities = st.one_of(
    st.lists(parts, min_size=1, max_size=4).map(":".join),
    st.sampled_from(["65535:65281", "large:64512:1:2", "no-export"]),
)
words = st.sampled_from(["a", "b", "a.b", "a/b", "x.io/a", "a b", "", "-a", "a" * 63, "a" * 64])
devices = st.sampled_from(["eth0", "eth0.100", "", ".", "..", "et h0", "a/b", "e" * 15, "e" * 16])
passwords = st.text("aZ0 ~!\"'\\\n\té", max_size=4) | st.sampled_from(["a" * 80, "a" * 81])
secrets = st.fixed_dictionaries(
    {}, optional={"name": words, "namespace": st.sampled_from(["a", "metallb-system"])}
)
flags = st.booleans()
requirements = st.fixed_dictionaries(
    {"key": words, "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Is"])},
    optional={"values": st.lists(words, max_size=2)},
)
selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(st.sampled_from(["a", "x.io/b"]), words, max_size=2),
        "matchExpressions": st.lists(requirements, max_size=2),
    },
)
selector_lists = st.lists(st.just({}) | selectors, max_size=2)
names = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)


Parts = st.SearchStrategy[Any]


def spec(required: dict[str, Parts], **optional: Parts) -> st.SearchStrategy[Spec]:
    """Return specs of these fields; at most three of the optional ones, so that some are right."""
    chosen = st.lists(st.sampled_from(sorted(optional)), max_size=3, unique=True)
    return chosen.flatmap(
        lambda keys: st.fixed_dictionaries(required | {key: optional[key] for key in keys})
    )


peers = spec(
    {"myASN": asns},
    peerASN=asns,
    dynamicASN=st.sampled_from(["internal", "external", "any"]),
    localASN=asns,
    peerAddress=addresses,
    interface=devices,
    sourceAddress=addresses,
    peerPort=numbers,
    holdTime=durations,
    keepaliveTime=durations,
    connectTime=durations,
    routerID=addresses,
    nodeSelectors=selector_lists,
    password=passwords,
    passwordSecret=secrets,
    bfdProfile=words,
    enableGracefulRestart=flags,
    ebgpMultiHop=flags,
    vrf=devices,
    disableMP=flags,
    dualStackAddressFamily=flags,
)

SPECS: dict[str, st.SearchStrategy[Spec]] = {
    "IPAddressPool": spec(
        {"addresses": st.lists(entries, min_size=1, max_size=2)},
        autoAssign=flags,
        avoidBuggyIPs=flags,
        serviceAllocation=spec(
            {},
            priority=numbers,
            namespaces=names,
            namespaceSelectors=selector_lists,
            serviceSelectors=selector_lists,
            maxPerNamespace=numbers,
        ),
    ),
    "BGPPeer": peers | peers.map(lambda fields: PEER | fields),
    "BGPAdvertisement": spec(
        {},
        aggregationLength=numbers,
        aggregationLengthV6=numbers,
        localPref=numbers,
        med=numbers,
        asPathPrepend=numbers,
        linkBandwidth=st.sampled_from(["endpoints", "interface", "", 1]),
        communities=st.lists(communities, max_size=2),
        ipAddressPools=names,
        ipAddressPoolSelectors=selector_lists,
        nodeSelectors=selector_lists,
        peers=names,
        serviceSelectors=selector_lists,
    ),
    "L2Advertisement": spec(
        {},
        ipAddressPools=names,
        ipAddressPoolSelectors=selector_lists,
        nodeSelectors=selector_lists,
        interfaces=st.lists(devices, max_size=2),
        serviceSelectors=selector_lists,
        preferredNodeSelectors=st.lists(
            st.fixed_dictionaries({"preference": selectors}, optional={"weight": numbers}),
            max_size=2,
        ),
    ),
    "Community": spec(
        {},
        communities=st.lists(
            st.fixed_dictionaries({"name": words}, optional={"value": communities}), max_size=2
        ),
    ),
    "BFDProfile": spec(
        {},
        receiveInterval=numbers,
        transmitInterval=numbers,
        detectMultiplier=numbers,
        echoInterval=numbers,
        echoMode=flags,
        passiveMode=flags,
        minimumTtl=numbers,
    ),
}
"""Specs by kind."""
