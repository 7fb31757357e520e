"""Simulators whose truth is known: `letters`, populations that tell what becomes of them; `donors`, cells that signal."""
