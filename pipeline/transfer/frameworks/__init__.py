"""What Detectron2 and MMSegmentation have in common here: overrides, half-done work, progress, files that are left."""
