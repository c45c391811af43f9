"""The process that a node starts to run user code. Driven by the node over a socket; see `lavandin.worker.frames`."""
