"""The tabletop world: coloured shapes on a 3x3 table, some with a small readable tag.

A synthetic world small enough to learn on two cores and rich enough to need everything a Mini-Gemini has: attributes, counting and
relations (binding), tags that only the high-resolution tower can read, and drawing with edits over several turns.

    scene      what lies where (pure data), deterministic by seed
    picture    scene -> image
    oracle     image -> scene, strict
    language   phrases, drawing prompts and back
    questions  questions about a scene, with answers
    drawing    instructions to draw and to edit, with the exact target prompt
    talk       small talk, with nothing to draw
    conversations   all of it mixed into conversations to train on
    training_data   conversations -> LLaVA-format JSON and PNG files
    benchmark  held-out examples to evaluate on
    mixed_questions  conversations of every form, to compare two ways of answering by
"""
