"""Classroom exercises, cut from the package's own functions: a stub to fill in, and a diagnosis that names the mistake.

    >>> from minivbert.exercises import check                               # doctest: +SKIP
    >>> check("attention", my_attention)                                    # doctest: +SKIP
"""
from minivbert.exercises.diagnosis import check, diagnose

__all__ = ["check", "diagnose"]
