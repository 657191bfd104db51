"""Latency model: milliseconds on a device, predicted from the shapes of a program's ops; see ``docs/latency.md``.

Start with ``latency_model.prepare_latency``; op lists come from ``program_ops`` or ``shapes``.
"""
