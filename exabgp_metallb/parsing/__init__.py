"""Floor 2: mappings to values, or to faults that name the object and the field."""
