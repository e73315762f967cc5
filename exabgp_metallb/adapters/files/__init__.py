"""Files: manifests as a source of objects, and the snapshot kept on disk."""
