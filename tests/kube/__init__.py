"""A real kube-apiserver and etcd on loopback, for the tests that need the truth about an API."""
