"""Moving along a learned field.

`ode` follows a velocity on any space, `sde` adds noise, `likelihood` tells the density of where it leads. `endpoint`
and `rectified` sample by predictions of the end, from the last state or the original noise; `guidance` pushes a field
towards a condition or a reward. `fields` says how fields are called.
"""
