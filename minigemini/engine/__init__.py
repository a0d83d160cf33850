"""Messages -> an answer: the one way that chat, evaluation and tools ask a model.

``request``        what is asked: messages, decoding, whether it may draw (no torch)
``local``          a model on this machine: batches, a streamed answer, cancelling; one lock a model
``constraint``     decoding under which every ``<h>`` is closed, in the length the image generator can read
``answer_stream``  an answer that arrives in small pieces, split into text and drawing prompts
"""
