"""NAS-Bench-201, where the true accuracy of every architecture is known (Section 4.3).

A supernet is trained there, everything is measured of its architectures, and the laboratory judges how well the
measures rank them (Tables 1, 5, 6 and 7, Figure 2). Reads data sets and the benchmark's table. Leaves weights, a table
of readings, and tables of Kendall's tau with intervals.
"""
