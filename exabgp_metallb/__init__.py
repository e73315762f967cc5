"""A load balancer for bare-metal Kubernetes: MetalLB's resources, ExaBGP's sessions."""

__version__ = "0.1.0"
