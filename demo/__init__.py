"""What a visitor sees: for now the sample pictures of `make demo`."""

import threading

starting = threading.Lock()  # held while the page's modules are imported: two first visitors come in two threads
