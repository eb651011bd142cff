"""The DARTS space, where a model of the truth is known: NAS-Bench-301's surrogate (Zela et al., 2022).

Everything is measured of its architectures in a supernet of the paper's space, and judged as in NAS-Bench-201. Reads a
supernet and the benchmark's table. Leaves a table of readings, and tables of Kendall's tau with intervals.
"""
