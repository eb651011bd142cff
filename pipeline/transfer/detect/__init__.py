"""RetinaNet by Detectron2 on a retrained backbone (Table 4): configuration, data, training, examples, stage.

Reads a network file and a data set in COCO's layout. Leaves the detector, its curves and configuration, and a few
validation photographs with true and predicted boxes.
"""
