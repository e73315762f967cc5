"""A laboratory of network namespaces: hosts on a bridge, real routers, ExaBGP, and packet capture.

Everything lives in namespaces and in one folder that a Lab makes and removes; nothing on the
machine is touched, so several labs can stand side by side. Needs root and tests/peers.sh.
"""
