"""GeNAS as a chain of stages; each package is a phase of it, in this order.

    data         images are found or made, and their digest taken
    probe        what can be seen of an architecture inside a supernet, and measures, which make numbers of that
    supernet     one network that holds every architecture is trained
    scoring      measures of many architectures, on many processes; search, which evolves the best of them
    analysis     what else a search's numbers say: other gammas, how far measures agree
    retrain      the found cells and those of the zoo become networks of their own
    transfer     the networks under distribution shift, under noise, as detectors and as segmenters
    nasbench201  the measures judged where the truth is known
    nasbench301  the same in the DARTS space, by a model of the truth
    report       everything as tables and pictures (results, drawing, tracking, export: other ways to look at it)

Before all of it, ``fetch`` brings published data sets, ``scaffold`` writes a profile for somebody's photographs.

:mod:`genas.pipeline.stages` is the table of all stages, :mod:`genas.pipeline.machine` what starts and resumes them.
"""
