"""The same endpoints in FastAPI and in FastHTML, without Errands and with it."""
