"""Where traces go: set up for a served process by the standard OTEL_* variables.

Nothing of the SDK is imported unless an exporter is configured. A library's host sets its provider up itself.
"""
