"""DeepLab-v3 by MMSegmentation on a retrained backbone (Table 4): configuration, data, training, examples, stage.

Reads a network file and a data set in Cityscapes' layout or one like it. Leaves the segmenter, its curves and
configuration, and a few validation images with true and predicted class ids.
"""
