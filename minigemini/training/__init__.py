"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run           all of it in a straight line
recipe        one stage as YAML
modules       what each module does: trained how, at which rate
module_table  the table of it that is printed first, and the proof that it is true
lora          low-rank layers beside those of a module, by exact name
old_form      recipes of before `modules:`, refused with the new form
trainer       transformers' Trainer with our order, optimizer groups and bar
whole_graph   what DDP and ZeRO want of a batch that does not use every layer
provenance    commit, versions and command, written beside the checkpoint
loss_curves   finished runs as a picture
"""
