"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run           all of it in a straight line
recipe        one stage as YAML
modules       what each module does: trained how, at which rate; the table that is printed first
old_form      recipes of before `modules:`, refused with the new form
trainer       transformers' Trainer with our order, optimizer groups and bar
whole_graph   what DDP and ZeRO want of a batch that does not use every layer
packed_attention  which attention a pack gets
refused_arguments what Trainer would take and not do
provenance    commit, versions and command, written beside the checkpoint
loss_curves   finished runs as a picture
"""
