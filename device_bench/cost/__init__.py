"""Latency model: milliseconds on a device, predicted from the shapes of a program's ops; see ``docs/latency.md``.

``latency_model.prepare`` is the way in; op lists come from ``program_ops`` or ``shapes``.
"""
