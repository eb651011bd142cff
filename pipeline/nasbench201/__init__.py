"""NAS-Bench-201, where the true accuracy of every architecture is known (Section 4.3).

A supernet is trained there, and everything is measured of its architectures, for :mod:`genas.pipeline.laboratory` to
judge how well the measures rank them. Reads data sets. Leaves weights and a table of readings.
"""
