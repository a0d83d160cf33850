"""Messages -> an answer: the one way that chat, evaluation and tools ask a model.

``request``        what is asked: messages, decoding, whether it may draw (no torch)
``local``          a model on this machine: batches, a streamed answer, cancelling; one lock a model
``many``           answers requests of many clients at once: they join and leave a running batch, behind a bounded queue
``batch``          the rows that are decoded together, step by step
``reply``          the events of one answer
``constraint``     decoding under which every ``<h>`` is closed, in the length the image generator can read
``answer_stream``  an answer that arrives in small pieces, split into text and drawing prompts
"""
