"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run           all of it in a straight line
recipe        one stage as YAML
trainable     what is trained, at which rate; the table that is printed first
trainer       transformers' Trainer with our order, optimizer groups and bar
whole_graph   what DDP and ZeRO want of a batch that does not use every layer
provenance    commit, versions and command, written beside the checkpoint
loss_curves   finished runs as a picture
"""
