"""How weights leave: export to TFLite, audit of what was exported, the runtime that reads it, benchmark and publication."""
