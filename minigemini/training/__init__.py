"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run           all of it in a straight line
recipe        one stage as YAML
modules       what each module does: trained how, at which rate; the table that is printed first
old_form      recipes of before `modules:`, refused with the new form
trainer       transformers' Trainer with our order, optimizer groups and bar
whole_graph   what DDP, ZeRO and FSDP2 want of a batch that does not use every layer
packed_attention  which attention a pack gets
refused_arguments what Trainer would take and not do
processes     whether several know of each other; who says what went wrong
fully_sharded FSDP2 by accelerate, set right
sliced_model  a new model that one process puts together and all load in slices
data_fits_model   whether the records can teach what is trained
provenance    commit, versions and command, written beside the checkpoint
loss_curves   finished runs as a picture
"""
