"""A trained network outside this project: ONNX, OM, safetensors, the sessions that run them, parity, throughput.

Others take from `metadata`, `network`, `om`, `onnx_graph`, `onnx_types`, `runtime`, `session`, `write`; the rest is
the room's own.
"""
