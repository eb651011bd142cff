"""A profile of one's own: what is in somebody's photographs decides how large everything is.

Reads folders of photographs, of a COCO set, of scenes with label files. Leaves links to them below the data root, and a
folder in ``profiles/`` with a ``params.yaml`` (filled in from ``template.yaml``) and a copy of the graph.
"""
