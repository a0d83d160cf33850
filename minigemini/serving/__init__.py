"""Conversations with text and pictures in and out.

``chat_session``         the one place that mixes modalities: a stream of events for each reply
``conversation``         what was said and shown, and saving it
``conversation_page``    conversations as one self-contained HTML page
``sample_conversations`` plays scripted conversations
``terminal``             ``minigemini chat``
``one_shot``             ``minigemini chat --prompt``, for scripts
"""
