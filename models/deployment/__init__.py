"""Networks as files that other programs run: ONNX, programs of torch.export, bundles of MONAI."""
