"""The version that the package bears and that every file it writes names."""

__version__ = "0.1.0"
