"""Simulators with known truth: `letters`, whose shape only the population tells; `donors`, whose cells signal."""
