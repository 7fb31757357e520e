"""Moving along a learned field."""
