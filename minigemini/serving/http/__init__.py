"""``minigemini serve``: OpenAI's API over HTTP, a thin view of the engine for many.

``run``               loads a model and serves it
``options``           what it is told
``app``               the application: endpoints, and what stands around them
``door``              keys, host names and sizes, before a body is read
``served``            what the endpoints share
``feed``              from the threads that answer to the loop that serves
``answer``            a conversation without a session -> the events of its answer
``chat_completions``  /v1/chat/completions, its messages in ``messages``
``responses``         /v1/responses: what is asked in ``response_input``, what is answered in ``response_output``
``stored_responses``  ... and answers to go on from
``images``            /v1/images/generations
``image_edits``       /v1/images/edits
``attention``         /v1/attention
``models``            /v1/models, /health, /metrics
``metrics``           what is counted, and how a request ended
``page``              the web page at /
``server_sent``       streams
``pictures``          as they travel in JSON; ``picture_size`` says how large one may be
``fetch_picture``     ... and those that are named by URL
``errors``            what goes wrong, in OpenAI's form
"""
