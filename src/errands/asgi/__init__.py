"""Errands in any ASGI application: one middleware for requests, WebSockets and the lifespan.

It belongs innermost, so that the framework handles a handler's exception inside it: there
`sys.exc_info()` tells an error response that was raised from one that was returned.
"""

from __future__ import annotations

from ._exchange import App, Failed, Message, Receive, Scope, Send
from ._middleware import Check, ErrandsMiddleware, raised
from ._setup import setup_errands

__all__ = [
    "App",
    "Check",
    "ErrandsMiddleware",
    "Failed",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "raised",
    "setup_errands",
]
