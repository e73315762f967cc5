"""Floor 2: dicts to values. Every fault is a ParseError with its object and field."""
