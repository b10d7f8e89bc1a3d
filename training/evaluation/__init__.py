"""Measuring models on labelled faces: errors, head poses, costs, tables and pictures. The verb is `training/evaluation/evaluate.py`."""
