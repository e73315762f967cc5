"""The container image: built without a registry, and its programs started from it."""
