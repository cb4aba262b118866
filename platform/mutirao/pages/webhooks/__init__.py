"""Webhooks: one's endpoints, their secrets, and what was delivered."""
