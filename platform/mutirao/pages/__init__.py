"""The pages that people work in: server-rendered, with htmx where a page lives."""
