"""Pictures, and the only package that imports matplotlib: each from numbers that a row left, none by a stage itself.

No pyplot: a picture is a ``Figure`` of its own, and the same data give the same bytes. ``rows`` knows which pictures a
row has; the report, the tracking and the export show them.
"""
