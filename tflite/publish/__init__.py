"""Weights put among the published ones: gates, accuracy, cards."""
