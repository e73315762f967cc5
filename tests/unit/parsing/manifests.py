"""Objects for the tests of parsing: valid ones, and what parsing says of others."""

from collections.abc import Mapping

from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.specs import Parsed, Value

Raw = dict[str, object]


def resource(kind: str, spec: object, **metadata: object) -> Raw:
    """Return a resource of group metallb.io; `spec` None leaves it out."""
    version = "v1beta2" if kind == "BGPPeer" else "v1beta1"
    raw: Raw = {
        "apiVersion": f"metallb.io/{version}",
        "kind": kind,
        "metadata": {"name": "it", "namespace": "metallb-system", **metadata},
    }
    return raw if spec is None else {**raw, "spec": spec}


def core(kind: str, *, metadata: Mapping[str, object] | None = None, **parts: object) -> Raw:
    """Return an object of Kubernetes itself."""
    version = "discovery.k8s.io/v1" if kind == "EndpointSlice" else "v1"
    named = {"name": "it", "namespace": "default", **(metadata or {})}
    return {"apiVersion": version, "kind": kind, "metadata": named, **parts}


def parsed(raw: object) -> Parsed:
    """Return what parsing makes of an object that it does not pass over."""
    found = parse(raw)
    assert found is not None
    assert (found.value is None) == bool(found.faults)
    return found


def value(raw: object) -> Value:
    """Return the value of an object without faults."""
    found = parsed(raw)
    assert found.faults == ()
    assert found.value is not None
    return found.value


def by_field(faults: tuple[Fault, ...]) -> dict[str, str]:
    """Return faults or warnings as message by field."""
    return {fault.field: fault.message for fault in faults}


VALID: list[Raw] = [
    resource(
        "IPAddressPool",
        {
            "addresses": ["192.0.2.0/24", "198.51.100.1 - 198.51.100.9", "2001:db8::/64"],
            "autoAssign": False,
            "avoidBuggyIPs": True,
            "serviceAllocation": {
                "priority": 50,
                "namespaces": ["a", "b"],
                "namespaceSelectors": [{"matchLabels": {"team": "a"}}],
                "serviceSelectors": [
                    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]}
                ],
                "maxPerNamespace": 3,
            },
        },
        labels={"zone": "east"},
        creationTimestamp="2026-01-31T12:00:00Z",
    ),
    resource(
        "BGPPeer",
        {
            "myASN": 64512,
            "peerASN": 64513,
            "localASN": 64514,
            "peerAddress": "192.0.2.1",
            "sourceAddress": "192.0.2.2",
            "peerPort": 1179,
            "holdTime": "1m30s",
            "keepaliveTime": "30s",
            "connectTime": "10s",
            "routerID": "10.0.0.1",
            "nodeSelectors": [{"matchLabels": {"rack": "1"}}, {"matchLabels": {"rack": "2"}}],
            "password": "s3cret word",
            "bfdProfile": "fast",
            "enableGracefulRestart": True,
            "ebgpMultiHop": True,
            "vrf": "red",
            "dualStackAddressFamily": True,
        },
    ),
    resource(
        "BGPPeer",
        {
            "myASN": 64512,
            "dynamicASN": "external",
            "interface": "eth0.100",
            "passwordSecret": {"name": "bgp", "namespace": "metallb-system"},
        },
    ),
    {
        **resource("BGPPeer", {"myASN": 64512, "peerASN": 64512, "peerAddress": "2001:db8::1"}),
        "apiVersion": "metallb.io/v1beta1",
    },
    resource(
        "BGPAdvertisement",
        {
            "aggregationLength": 24,
            "aggregationLengthV6": 64,
            "localPref": 100,
            "med": 50,
            "asPathPrepend": 3,
            "linkBandwidth": "endpoints",
            "communities": ["65535:65281", "large:64512:1:2", "no-export"],
            "ipAddressPools": ["public"],
            "ipAddressPoolSelectors": [{"matchLabels": {"zone": "east"}}],
            "nodeSelectors": [{"matchLabels": {"rack": "1"}}],
            "peers": ["router-1"],
        },
    ),
    resource(
        "L2Advertisement",
        {
            "ipAddressPools": ["public"],
            "ipAddressPoolSelectors": [],
            "nodeSelectors": [{}],
            "interfaces": ["eth0", "eth1"],
            "serviceSelectors": [{"matchLabels": {"app": "web"}}],
            "preferredNodeSelectors": [
                {"weight": 100, "preference": {"matchLabels": {"rack": "1"}}},
                {"weight": 1, "preference": {}},
            ],
        },
    ),
    resource(
        "Community",
        {"communities": [{"name": "no-export", "value": "65535:65281"}]},
    ),
    resource(
        "BFDProfile",
        {
            "receiveInterval": 50,
            "transmitInterval": 60,
            "detectMultiplier": 3,
            "echoInterval": 100,
            "echoMode": True,
            "passiveMode": True,
            "minimumTtl": 254,
        },
    ),
    core(
        "Service",
        metadata={
            "labels": {"app": "web"},
            "annotations": {
                "metallb.io/address-pool": "public",
                "metallb.io/loadBalancerIPs": "192.0.2.1, 2001:db8::1",
                "metallb.universe.tf/allow-shared-ip": "key",
            },
        },
        spec={
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "PreferDualStack",
            "externalTrafficPolicy": "Local",
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
            "selector": {"app": "web"},
        },
        status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "a.example"}]}},
    ),
    core(
        "EndpointSlice",
        metadata={"labels": {"kubernetes.io/service-name": "web"}},
        endpoints=[
            {
                "addresses": ["10.1.0.1"],
                "nodeName": "node-1",
                "conditions": {"ready": True, "serving": True, "terminating": False},
            }
        ],
    ),
    core(
        "Node",
        metadata={"labels": {"rack": "1"}},
        status={
            "addresses": [{"type": "InternalIP", "address": "192.0.2.10"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    ),
    core("Namespace", metadata={"labels": {"team": "a"}}),
    core("Secret", type="kubernetes.io/basic-auth", data={"password": "czNjcmV0"}),
    core(
        "ConfigMap",
        metadata={"name": "config", "namespace": "metallb-system"},
        data={
            "config": (
                "peers:\n- peer-address: 192.0.2.1\n  peer-asn: 64512\n  my-asn: 64512\n"
                "address-pools:\n- name: default\n  protocol: bgp\n  addresses: [192.0.2.0/24]\n"
            )
        },
    ),
]
"""One of each kind, or two, with every field that it may have."""
