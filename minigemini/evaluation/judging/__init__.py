"""A language model grades answers; what it is told is each benchmark's own.

client   any OpenAI-compatible server, with a cache of its replies
ask      the rows of a run, and what is made of the replies
"""
