"""A language model grades answers: the client, the prompts, and what is asked of which benchmark and made of the replies (ask)."""
