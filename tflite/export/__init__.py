"""A trained network as `.tflite` files: conversion, decoder, audit, golden tensors."""
