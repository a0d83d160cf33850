"""Released MGM checkpoints -> ours.

convert        the conversion itself, tensor by tensor
source         the folder of a release: its configuration and its tensors
architecture   our configuration and our names of its tensors
text           its tokenizer, its chat template, where an answer stops
report         what was done, for machines and people
"""
