"""What a configuration costs on a device, predicted from the shapes of its ops. See ``docs/latency.md``.

``latency_model.prepare`` is the way in; op lists come from ``program_ops`` or ``shapes``.
"""
