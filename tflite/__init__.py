"""How weights leave: export to TFLite and its audit, what files cost, publication, ports for phones."""
