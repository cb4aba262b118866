"""The agents that ship with Mutirão."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from agents.definitions import AgentDefinition, register


@register
class Assistant(AgentDefinition):
    """Answers, and remembers the conversation."""

    slug = "assistant"
    name = "Assistant"
    description = gettext_noop("Answers questions and remembers what was said in a conversation.")
    system_prompt = "You are a helpful assistant. Answer clearly and briefly, in the language of the question."
    limits = {"seconds": 300, "steps": 10}


@register
class Clerk(AgentDefinition):
    """Shows tools at work, even with the small local model."""

    slug = "clerk"
    name = "Clerk"
    description = gettext_noop("Tells the time anywhere and calculates, with two tools.")
    system_prompt = """
        You are an office clerk with two tools.
        Use calculate for every calculation. Write the expression with numbers and + - * / only.
        Use current_time for every question about the time or the date.
        When a tool has answered, say its answer in one short sentence.
    """
    tools = ("current_time", "calculate")
    parameters = {"temperature": 0}
    limits = {"seconds": 300, "steps": 20}
    memory_messages = 6
