"""LLM inference gateway for vLLM pods on Kubernetes, as composable ASGI middlewares.

The stack is the app: `aibrix_mw.app.create_app` puts the parts in order, and each of them works alone in another
ASGI application. This module imports nothing, so that a part costs only what it needs.
"""

__version__ = "0.1.0"
