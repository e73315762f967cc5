"""Orders for the responder, as tests give them."""

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import AddressOrder, Slate


def in_order(address: Address, *nodes: NodeName) -> AddressOrder:
    """Return an order in which the candidates come one by one, whatever their hashes are."""
    return AddressOrder(address=address, slate=Slate(tuple((node,) for node in nodes)))
