"""The judgement: scores made of stored readings, compared with the true accuracies of NAS-Bench-201 (Section 4.3).

No network runs here: it reads the tables of readings that :mod:`genas.pipeline.nasbench201` leaves, and the
benchmark's. Leaves tables of Kendall's tau with intervals (Tables 1, 5, 6 and 7, Figure 2). The statistics and most
questions are any tabulated space's; :mod:`genas.pipeline.nasbench301` asks them of the DARTS space.
"""
