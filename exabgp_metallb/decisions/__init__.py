"""Floor 3: values to values. No clock, no network, no logging; "no" is a value too."""
