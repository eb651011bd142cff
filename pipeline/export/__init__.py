"""A retrained network as a folder for others: timm, ONNX and torch.export, with a model card."""
