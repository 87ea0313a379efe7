"""What can be measured: each module here is a choice of `python -m benchmarks`, with `run(settings)` giving rows."""
