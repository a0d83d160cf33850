"""Conversations with text and pictures in and out.

``events``               what every surface shows of a reply, in the order in which it happens
``reply_events``         the one place that mixes modalities: messages -> the events of a reply; keeps nothing
``picture_events``       the pictures of one drawing prompt; when one is an edit
``chat_session``         one conversation: what was said, and what can be done with it
``conversation``         what was said and shown: as people read it, as the model does, as JSON
``assets``               its pictures, by hash
``edit_tree``            what was drawn, and what came of what
``save_conversation``    as a folder
``conversation_page``    conversations as one self-contained HTML page
``sample_conversations`` plays scripted conversations
``options``              what ``minigemini chat`` is told
``terminal``             ``minigemini chat``
``one_shot``             ``minigemini chat --prompt``, for scripts
``load_session``         a model and its generator -> a session
``drawing_files``        drawings and attention pictures as files
``vllm_plugin``          what vLLM calls so that it knows the model (``vllm_model``: as it builds it)
``http``                 ``minigemini serve``
``command_line``         its options, and those of ``minigemini verify-serving``
``verify_serving``       ``minigemini verify-serving``: a running server beside the checkpoint (``asked_server``: how it is asked)
"""
