"""A whole cluster on this machine, from the API server to a client that fetches a page."""
