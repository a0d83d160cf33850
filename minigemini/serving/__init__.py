"""Conversations with text and pictures in and out.

``chat_session``         the one place that mixes modalities: a stream of events for each reply
``conversation``         what was said and shown: as people read it, and as the model does
``save_conversation``    as a folder
``conversation_page``    conversations as one self-contained HTML page
``sample_conversations`` plays scripted conversations
``options``              what ``minigemini chat`` is told
``terminal``             ``minigemini chat``
``one_shot``             ``minigemini chat --prompt``, for scripts
``load_session``         a model and its generator -> a session
``drawing_files``        drawings and attention pictures as files
``vllm_plugin``          what vLLM calls so that it knows the model
"""
