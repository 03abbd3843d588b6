"""What a terminal asks for: each command, once `__main__` has read its words."""
