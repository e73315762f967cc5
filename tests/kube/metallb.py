"""A cluster as MetalLB leaves it: its definitions, its webhooks, its Services' addresses.

The definitions have MetalLB's fields, versions, printer columns and annotations, but not its texts;
what matters for a move is in them: BGPPeers are converted by a webhook, what MetalLB does not know
is pruned, and whoever applied them owns their fields.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress

from kubernetes.client.exceptions import ApiException, NotFoundException

from tests.kube.certificates import Authority
from tests.kube.client import STARTING, Client, Object, reference
from tests.kube.polling import wait_until

INSTALLER = (
    "kubectl-client-side-apply"  # the field manager of `kubectl apply -f metallb-native.yaml`
)
CONTROLLER = "controller"  # that of its controller
ALLOCATED = "metallb.io/ip-allocated-from-pool"
OLD_PREFIX = "metallb.universe.tf"
CRD = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
ADMISSION = "admissionregistration.k8s.io/v1"
WEBHOOKS = reference(ADMISSION, "ValidatingWebhookConfiguration", "metallb-webhook-configuration")

TEXT: Object = {"type": "string"}
TRUTH: Object = {"type": "boolean"}
INT32: Object = {"type": "integer", "format": "int32"}
INT64: Object = {"type": "integer", "format": "int64"}


def _record(required: Iterable[str] = (), /, **fields: Object) -> Object:
    made: Object = {"type": "object", "properties": fields}
    return {**made, "required": [*required]} if required else made


def _list(of: Object) -> Object:
    return {"type": "array", "items": of}


TEXTS = _list(TEXT)
SELECTOR: Object = {
    **_record(
        matchLabels={"type": "object", "additionalProperties": TEXT},
        matchExpressions=_list(_record(("key", "operator"), key=TEXT, operator=TEXT, values=TEXTS)),
    ),
    "x-kubernetes-map-type": "atomic",
}
SELECTORS = _list(SELECTOR)

_PEER_V1BETA1 = {
    "myASN": {**INT32, "minimum": 0, "format": "int64", "maximum": 4294967295},
    "peerASN": {**INT64, "minimum": 0, "maximum": 4294967295},
    "peerAddress": TEXT,
    "sourceAddress": TEXT,
    "peerPort": {"type": "integer", "minimum": 0, "maximum": 16384},
    "holdTime": TEXT,
    "keepaliveTime": TEXT,
    "routerID": TEXT,
    "nodeSelectors": SELECTORS,
    "password": TEXT,
    "bfdProfile": TEXT,
    "ebgpMultiHop": TRUTH,
}
_PEER_V1BETA2 = {
    **_PEER_V1BETA1,
    "peerPort": {"type": "integer", "default": 179, "minimum": 1, "maximum": 16384},
    "dynamicASN": {**TEXT, "enum": ["internal", "external"]},
    "localASN": INT64,
    "interface": TEXT,
    "connectTime": TEXT,
    "passwordSecret": {**_record(name=TEXT, namespace=TEXT), "x-kubernetes-map-type": "atomic"},
    "enableGracefulRestart": TRUTH,
    "vrf": TEXT,
    "disableMP": {**TRUTH, "default": False},
    "dualStackAddressFamily": {**TRUTH, "default": False},
}
_ALLOCATION = _record(
    priority={"type": "integer"},
    namespaces=TEXTS,
    namespaceSelectors=SELECTORS,
    serviceSelectors=SELECTORS,
)
_COUNTER = ("assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6")
_SERVICE_STATUS = {"node": TEXT, "serviceName": TEXT, "serviceNamespace": TEXT}

_SPECS: Mapping[str, Object] = {
    "BFDProfile": _record(
        receiveInterval=INT32,
        transmitInterval=INT32,
        detectMultiplier=INT32,
        echoInterval=INT32,
        echoMode=TRUTH,
        passiveMode=TRUTH,
        minimumTtl=INT32,
    ),
    "BGPAdvertisement": _record(
        aggregationLength={**INT32, "default": 32, "minimum": 1},
        aggregationLengthV6={**INT32, "default": 128},
        localPref=INT32,
        communities=TEXTS,
        ipAddressPools=TEXTS,
        ipAddressPoolSelectors=SELECTORS,
        nodeSelectors=SELECTORS,
        peers=TEXTS,
        serviceSelectors=SELECTORS,
    ),
    "Community": _record(communities=_list(_record(name=TEXT, value=TEXT))),
    "IPAddressPool": _record(
        ("addresses",),
        addresses=TEXTS,
        autoAssign={**TRUTH, "default": True},
        avoidBuggyIPs={**TRUTH, "default": False},
        serviceAllocation=_ALLOCATION,
    ),
    "L2Advertisement": _record(
        ipAddressPools=TEXTS,
        ipAddressPoolSelectors=SELECTORS,
        nodeSelectors=SELECTORS,
        interfaces=TEXTS,
        serviceSelectors=SELECTORS,
    ),
}
_STATUSES: Mapping[str, Object] = {
    "ConfigurationState": _record(
        result=TEXT,
        errorSummary=TEXT,
        conditions=_list({**_record(), "x-kubernetes-preserve-unknown-fields": True}),
    ),
    "IPAddressPool": _record(_COUNTER, **dict.fromkeys(_COUNTER, INT64)),
    "ServiceBGPStatus": _record(**_SERVICE_STATUS, peers=TEXTS),
    "ServiceL2Status": _record(**_SERVICE_STATUS, interfaces=_list(_record(name=TEXT))),
}
_PLURALS = {
    "BFDProfile": "bfdprofiles",
    "BGPAdvertisement": "bgpadvertisements",
    "BGPPeer": "bgppeers",
    "Community": "communities",
    "ConfigurationState": "configurationstates",
    "IPAddressPool": "ipaddresspools",
    "L2Advertisement": "l2advertisements",
    "ServiceBGPStatus": "servicebgpstatuses",
    "ServiceL2Status": "servicel2statuses",
}


def definitions(namespace: str) -> list[Object]:
    """Return MetalLB's definitions, for an install namespace."""
    made = [_definition(kind, [_version("v1beta1", kind)]) for kind in _PLURALS]
    return [
        _peers(namespace) if each["spec"]["names"]["kind"] == "BGPPeer" else each for each in made
    ]


def _peers(namespace: str) -> Object:
    required = ("myASN", "peerASN", "peerAddress")
    old = _version("v1beta1", "BGPPeer", spec=_record(required, **_PEER_V1BETA1), stored=False)
    old |= {"deprecated": True, "deprecationWarning": "v1beta1 is deprecated, please use v1beta2"}
    new = _version("v1beta2", "BGPPeer", spec=_record(("myASN",), **_PEER_V1BETA2))
    made = _definition("BGPPeer", [old, new])
    service = {"name": "metallb-webhook-service", "namespace": namespace, "path": "/convert"}
    made["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1beta1", "v1beta2"],
            "clientConfig": {
                "caBundle": b64encode(Authority().certificate).decode(),
                "service": service,
            },
        },
    }
    return made


def _definition(kind: str, versions: list[Object]) -> Object:
    plural = _PLURALS[kind]
    made = reference(*CRD, f"{plural}.metallb.io")
    made["metadata"]["annotations"] = {"controller-gen.kubebuilder.io/version": "v0.16.3"}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    spec = {"group": "metallb.io", "scope": "Namespaced", "names": names, "versions": versions}
    return {**made, "spec": spec}


def _version(name: str, kind: str, *, spec: Object | None = None, stored: bool = True) -> Object:
    parts = {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": {"type": "object"},
        "spec": spec or _SPECS.get(kind, _record()),
        "status": _STATUSES.get(kind, _record()),
    }
    schema = {"openAPIV3Schema": _record(**parts)}
    made = {"name": name, "served": True, "storage": stored, "subresources": {"status": {}}}
    return {**made, "schema": schema}


def install(client: Client, namespace: str) -> None:
    """Put MetalLB's definitions where ours were, as `kubectl apply` does, with all they define."""
    for definition in definitions(namespace):
        _remove(client, definition)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        client.request("POST", path, query={"fieldManager": INSTALLER}, body=definition)
    for definition in definitions(namespace):
        wait_until(lambda d=definition: _serves(client, d), what="MetalLB's definitions")  # type: ignore[misc] # bound now


def _remove(client: Client, definition: Object) -> None:
    with suppress(NotFoundException):
        client.delete(definition)


def _serves(client: Client, definition: Object) -> bool:
    """Tell whether the newest version of a definition answers: an older one is to be converted."""
    spec = definition["spec"]
    version, kind = spec["versions"][-1]["name"], spec["names"]["kind"]
    try:
        client.list(f"{spec['group']}/{version}", kind)
    except KeyError:
        return False
    except ApiException as error:
        if error.status in STARTING:
            return False
        raise
    return True


def webhooks(namespace: str) -> Object:
    """Return MetalLB's validating webhooks; only its controller answers them."""
    return {**WEBHOOKS, "webhooks": [_webhook(k, namespace) for k in (*_SPECS, "BGPPeer")]}


def _webhook(kind: str, namespace: str) -> Object:
    version = "v1beta2" if kind == "BGPPeer" else "v1beta1"
    path = f"/validate-metallb-io-{version}-{kind.lower()}"
    service = {"name": "metallb-webhook-service", "namespace": namespace, "path": path}
    rule = {
        "apiGroups": ["metallb.io"],
        "apiVersions": [version],
        "operations": ["CREATE", "UPDATE"],
        "resources": [_PLURALS[kind]],
    }
    return {
        "name": f"{kind.lower()}validationwebhook.metallb.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": service},
        "failurePolicy": "Fail",
        "rules": [rule],
        "sideEffects": "None",
    }


def write_addresses(client: Client, made: Object, pool: str, *addresses: str) -> Object:
    """Give a Service its addresses as MetalLB's controller does: one PUT with the annotation."""
    found = client.get(made)
    found["metadata"].setdefault("annotations", {})[ALLOCATED] = pool
    found["status"]["loadBalancer"] = {"ingress": [{"ip": each} for each in addresses]}
    metadata = found["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
    return client.request("PUT", path, query={"fieldManager": CONTROLLER}, body=found)
