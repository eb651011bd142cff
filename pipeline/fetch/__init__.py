"""Published data sets that anybody may download, brought into the layouts that :mod:`genas.pipeline.data` reads.

Reads the network. Each archive is fetched (a cut one goes on where it stopped), compared with its published digest, and
unpacked beside its place, which it takes when it is whole. Nothing is unpickled; no member of an archive leaves its
folder.
"""
