"""A folder of manifests as a cluster would export it, written object by object.

The functions below make objects with the few fields that a test is about; whatever else an object
needs is filled in. `Manifests` writes them, each to a file of its own and in one step, as a tool
that exports them would.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Object = dict[str, Any]

HOME = "metallb-system"


def service(
    name: str,
    *addresses: str,
    policy: str = "Cluster",
    families: Iterable[str] = ("IPv4",),
    created: str = "2026-01-01T00:00:00Z",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return a Service of type LoadBalancer in the namespace default.

    Args:
        name: of the Service.
        addresses: that its status shows already.
        policy: spec.externalTrafficPolicy.
        families: spec.ipFamilies.
        created: its creationTimestamp.
        labels: of the Service.
        annotations: of the Service.
    """
    cluster_ips = {"IPv4": "10.96.0.10", "IPv6": "fd96::10"}
    metadata = {"name": name, "namespace": "default", "creationTimestamp": created}
    given = {"labels": labels, "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata | {k: dict(v) for k, v in given.items() if v},
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "ipFamilies": list(families),
            "ipFamilyPolicy": "SingleStack" if len(list(families)) == 1 else "RequireDualStack",
            "clusterIPs": [cluster_ips[family] for family in families],
            "ports": [{"port": 80, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}},
    }


def endpoint(node: str | None, **conditions: bool) -> Object:
    """Return one endpoint on a node; without conditions it is ready, as a null one is."""
    found: Object = {"addresses": ["10.244.0.10"], "conditions": conditions}
    return found if node is None else found | {"nodeName": node}


def slice_of(name: str, *endpoints: Object | str, number: int = 1) -> Object:
    """Return an EndpointSlice of a Service; a word stands for a ready endpoint on that node."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(e, ready=True) if isinstance(e, str) else e for e in endpoints],
    }


def node(name: str, *addresses: object, **labels: str) -> Object:
    """Return a Node with InternalIPs and labels, `kubernetes.io/hostname` among them."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name} | labels},
        "status": {
            "addresses": [{"type": "InternalIP", "address": str(each)} for each in addresses],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pool(name: str, *addresses: str) -> Object:
    """Return an IPAddressPool."""
    return _ours("IPAddressPool", name, {"addresses": list(addresses)})


def peer(name: str, address: object, *, asn: int, peer_asn: int, **spec: object) -> Object:
    """Return a BGPPeer of v1beta2; its hold time is short unless the spec has one."""
    basic = {"myASN": asn, "peerASN": peer_asn, "peerAddress": str(address), "holdTime": "9s"}
    return _ours("BGPPeer", name, basic | spec, version="v1beta2")


def advertisement(name: str = "all", **spec: object) -> Object:
    """Return a BGPAdvertisement."""
    return _ours("BGPAdvertisement", name, spec)


def l2_advertisement(name: str = "all", **spec: object) -> Object:
    """Return an L2Advertisement."""
    return _ours("L2Advertisement", name, spec)


def bfd_profile(name: str, **spec: object) -> Object:
    """Return a BFDProfile."""
    return _ours("BFDProfile", name, spec)


def community(name: str, **aliases: str) -> Object:
    """Return a Community resource with aliases and what they stand for."""
    listed = [{"name": alias.replace("_", "-"), "value": v} for alias, v in aliases.items()]
    return _ours("Community", name, {"communities": listed})


def secret(name: str, password: str) -> Object:
    """Return a Secret that holds the password of a BGPPeer."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": HOME},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"password": password},
    }


def on(name: str) -> list[Object]:
    """Return nodeSelectors for one node."""
    return [{"matchLabels": {"kubernetes.io/hostname": name}}]


def _ours(kind: str, name: str, spec: Mapping[str, object], *, version: str = "v1beta1") -> Object:
    return {
        "apiVersion": f"metallb.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": HOME},
        "spec": dict(spec),
    }


class Manifests:
    """The folder; several nodes may follow it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def put(self, *objects: Object) -> None:
        """Write objects that are new or have changed; JSON is YAML."""
        for each in objects:
            metadata = each["metadata"]
            self.write(self._file(each["kind"], metadata["name"]), json.dumps(each, indent=1))

    def remove(self, kind: str, name: str) -> None:
        """Delete an object."""
        (self.path / self._file(kind, name)).unlink()

    def write(self, name: str, text: str) -> None:
        """Write a file in one step, whatever the text."""
        aside = self.path / f".{name}.new"
        aside.write_text(text)
        aside.rename(self.path / name)

    def write_object(self, kind: str, name: str, text: str) -> None:
        """Replace the file of an object by a text, such as a broken one."""
        self.write(self._file(kind, name), text)

    def vanish(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.path)

    @staticmethod
    def _file(kind: str, name: str) -> str:
        return f"{kind}-{name}.yaml"
