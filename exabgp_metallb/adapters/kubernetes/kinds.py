"""The kinds that are read from the Kubernetes API: where each lives and what part of it is read.

Our own resources, Secrets and the legacy ConfigMap are read in the install namespace only, as in
MetalLB: a process needs no rights on anybody else's.
"""

from dataclasses import dataclass

Query = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind as the API serves it.

    Attributes:
        group: "" for the core group.
        local: read in the install namespace only, else in the whole cluster.
        label_selector: what the server leaves out before it sends anything; "" for nothing.
        field_selector: the same by field.
    """

    name: str
    plural: str
    group: str = ""
    version: str = "v1"
    local: bool = False
    label_selector: str = ""
    field_selector: str = ""

    @property
    def api_version(self) -> str:
        """Group and version as an object's apiVersion spells them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that RBAC messages and CRDs have: `services`, `bgppeers.metallb.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def is_custom(self) -> bool:
        """Tell whether a CRD must be installed before the API serves this kind."""
        return self.group == METALLB

    def path(self, namespace: str) -> str:
        """Return the path of the collection; `namespace` is the install namespace."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if self.local else ""
        return f"{root}{place}/{self.plural}"

    def selectors(self) -> Query:
        """Return the query parameters that list and watch share."""
        both = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {key: value for key, value in both.items() if value}


METALLB = "metallb.io"

# kube-proxy's own selection (pkg/proxy/config): headless Services have no virtual address, and
# slices that belong to no Service are not ours to read. The server filters before it sends.
SLICES_OF_SERVICES = "kubernetes.io/service-name,!service.kubernetes.io/headless"


def _metallb(name: str, plural: str, version: str = "v1beta1") -> Kind:
    return Kind(name=name, plural=plural, group=METALLB, version=version, local=True)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="Service", plural="services"),
        Kind(
            name="EndpointSlice",
            plural="endpointslices",
            group="discovery.k8s.io",
            label_selector=SLICES_OF_SERVICES,
        ),
        Kind(name="Node", plural="nodes"),
        Kind(name="Namespace", plural="namespaces"),
        Kind(name="Secret", plural="secrets", local=True),
        Kind(
            name="ConfigMap", plural="configmaps", local=True, field_selector="metadata.name=config"
        ),
        _metallb("IPAddressPool", "ipaddresspools"),
        _metallb("BGPPeer", "bgppeers", "v1beta2"),  # v1beta1 is converted by the server
        _metallb("BGPAdvertisement", "bgpadvertisements"),
        _metallb("L2Advertisement", "l2advertisements"),
        _metallb("Community", "communities"),
        _metallb("BFDProfile", "bfdprofiles"),
    )
}
"""Every kind that can be followed, by name."""
