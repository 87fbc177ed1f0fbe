"""The library: U-Net, training, metrics, and low-rank compression. Knows nothing of pipelines."""
