"""Faces drawn by the project itself, with exact points."""
