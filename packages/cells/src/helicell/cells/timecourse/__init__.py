"""Time courses of populations: read, interpolated, and followed by a learned flow."""
