"""What is asked and how it is judged. No torch.

benchmark      what a model is given to answer, and the parts of a line of predictions
question       a row before a protocol made a prompt of it; stored_image: a picture that is opened when its question is answered
protocols      which rule each benchmark has under which protocol
score          predictions in any format -> the number
names          the benchmarks of our own world
prompts        the text of each benchmark's questions under each protocol
rules          the published scoring rules, as pure functions
formats        questions, predictions and gold answers as other tools store them
statistics     a number over verdicts, its interval, and whether two differ
"""
