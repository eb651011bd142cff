"""Measures of many architectures: here, on other processes or on a cluster, and to the end or only while they can win.

What it returns depends on the architecture alone, so none of this changes a number but early decisions, which
``search.early`` switches on.
"""
