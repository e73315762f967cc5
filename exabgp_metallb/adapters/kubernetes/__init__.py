"""Kubernetes: the only importer of the kubernetes package."""
