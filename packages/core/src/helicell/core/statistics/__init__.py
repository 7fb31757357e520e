"""Distances between samples, and the assignment problem that exact transport comes down to."""
