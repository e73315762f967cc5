"""The main job with no cluster and no root: three nodes and a router, all on loopback.

Each node is the very command that units and containers start, on a folder of manifests in the place
of a cluster. The router is an ExaBGP too; its table is built from what reached it over BGP and from
nothing else. A few edits of the manifests are played. After each the router's table is held
against what `plan` says of the edited manifests, and the time from the edit to the right table is
told.
"""
