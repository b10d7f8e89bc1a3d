"""`.tflite` files as they are run and read: interpreter, graph, metadata."""
