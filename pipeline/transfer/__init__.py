"""The phase ``transfer``: retrained networks under distribution shift, as detectors and as segmenters (Section 4.2,
Table 4).

Reads a network file and a data set each. Leaves percentages; of detectors and segmenters also weights, the framework's
final configuration and a few examples.
"""
