"""What a visitor sees: for now the sample pictures of `make demo`."""
