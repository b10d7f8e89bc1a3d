"""Readers: one function per layout, from a path to a stream of samples; `training.readers.formats` lists them."""
