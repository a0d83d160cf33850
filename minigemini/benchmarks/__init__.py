"""What is asked and how it is judged. No torch.

benchmark      Benchmark and its Protocols; what a model is given to answer, and the parts of a line of predictions
names          the benchmarks, one file each
question       a row before a protocol made a prompt of it; stored_image: a picture that is opened when its question is answered
prompts        parts of prompts that several share; vlmevalkit_letters: a protocol that several have
written_prompt what an answer says to the image generator, and whether it is well formed
judge          what a language model is told that grades answers, and how it is understood
formats        questions, predictions and gold answers as other tools store them; ``read`` gives the examples
gold_check     gold answers that no reply can equal
score          predictions in any format -> the number; upload: the answers to a split without gold answers
rules          the published scoring rules, as pure functions
statistics     a number over verdicts, its interval, and whether two differ
"""
