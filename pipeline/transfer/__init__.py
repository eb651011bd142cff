"""The phase ``transfer``: retrained networks under distribution shift, as detectors and as segmenters (Section 4.2,
Table 4), and under noise on their weights (Figure 3).

Reads a network file and a data set each. Leaves percentages, or a curve; of detectors and segmenters also weights, the
framework's final configuration and a few examples.
"""
