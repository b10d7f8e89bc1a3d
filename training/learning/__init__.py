"""From batches to weights: settings, losses, loops in Keras and PyTorch, quantisation-aware training."""
