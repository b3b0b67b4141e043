"""The layers of the gateway; each is a plain ASGI middleware that also works alone."""
