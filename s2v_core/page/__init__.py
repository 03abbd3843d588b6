"""What a page asks for and says; no Gradio."""
