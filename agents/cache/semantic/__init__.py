"""Decides whether one answer serves two requests. See docs/semantic-cache.md for the method and its figures."""
