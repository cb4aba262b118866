"""Builds and runs graphs; the only room that knows LangGraph."""

import os

# LangGraph reads this once, on its first import. Without it, whatever class name a checkpoint row carries is
# imported and called when the row is read; with it, only LangGraph's own list of plain types is, plus the
# types that the graph's own state declares. Django imports this package (an installed app) before any agent's
# module.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
