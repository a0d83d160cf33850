"""A recipe -> a trained checkpoint. The distributed engines are accelerate's; the loss is the model's.

run           all of it in a straight line
recipe        one stage as YAML
trainable     what is trained, at which rate; the table that is printed first
trainer       transformers' Trainer with our order, optimizer groups and bar
whole_graph   what DDP and ZeRO want of a batch that does not use every layer
provenance    commit, versions and command, written beside the checkpoint
beginning     whether a run begins, goes on, is finished already, or is refused
fingerprint   what makes a run the run it is, compared when it goes on
services      what Trainer asks of other packages and of the hub, asked first
checkpoints_on_disk, whole_checkpoints  written beside and renamed; torn ones are passed over
room          on the disk
stopping      SIGTERM and Ctrl-C: a checkpoint is saved, and the run says that it was stopped
finite        losses and weights that are not numbers
agree         what all processes must decide alike
loss_curves   finished runs as a picture
"""
