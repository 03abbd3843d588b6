"""What a page asks for and says; no Gradio, no selector, no element."""
