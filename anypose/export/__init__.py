"""A trained network outside this project: ONNX, OM, safetensors, the sessions that run them, parity, throughput."""
