"""Widgets: thin shells over pure functions, each with a picture for who has no kernel."""
