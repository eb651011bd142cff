"""What runs a row and changes none of its numbers: processes, memory, clusters, half-done work, the code's digest.

The one exception is :mod:`genas.pipeline.machine.data_parallel`, which computes: several processes take the step of
one.
"""
