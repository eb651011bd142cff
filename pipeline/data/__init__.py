"""The phase ``data``: find a data set below the data root, or derive one, and record what it is.

Reads a data root, or another set. Leaves ``manifest.json`` (digest, counts, classes), an index of shards, and
the files of derived sets: the demo's digits and scenes, copies of a set at fewer pixels, and the stand-ins for the
shifted sets of Table 4.
:mod:`genas.pipeline.data.reading` is how all later phases read what lies there.
"""
