"""Drawing scored: what a model writes when it draws, and what the pictures show.

draw           the image generator draws, an oracle reads the drawing
geneval        GenEval's rules on detections, as pure functions; geneval_detectors finds, geneval_run does it all
clip_score     how well pictures fit their captions by a CLIP (clip_similarity)
best_of_n      the model keeps the picture it likes best (self_judgement): the gain
command_line   their commands
"""
